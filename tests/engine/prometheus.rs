//! A real Prometheus, ended with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::stage::ok;

pub struct Prometheus {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts `program` with a configuration in which `promtool` finds no fault.
    pub fn start(program: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        ok(Command::new("promtool").args(["check", "config"]).arg(&file));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("this test needs {program} (Debian's package prometheus): {error}")
            });
        Self { child, port, _folder: folder }
    }

    /// The answer to a query, as it is written.
    pub fn query(&self, query: &str) -> String {
        self.get("query", &["-G", "--data-urlencode", &format!("query={query}")])
    }

    /// Its targets, those that it scrapes (`activeTargets`) or those that a rule drops (`droppedTargets`).
    pub fn targets(&self, which: &str) -> Vec<Value> {
        let told: Value = serde_json::from_str(&self.get("targets", &[])).unwrap_or_default();
        told["data"][which].as_array().cloned().unwrap_or_default()
    }

    fn get(&self, path: &str, arguments: &[&str]) -> String {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        let output = Command::new("curl").args(["-s", "-m", "5"]).args(arguments).arg(url).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
