//! Event streams that break, lie or fall silent, in front of the real engine.

use super::stage::Stage;
use crate::proxy::{Change, Proxy};

#[test]
fn a_stream_cut_in_mid_frame_is_made_anew_and_followed_by_a_list() {
    let proxy = Proxy::start(None);
    let stage = Stage::with(&["--host", &proxy.host()]);
    stage.eventually("it is ready", || stage.get("/readyz").0 == 200);
    proxy.events(Change::CutInFrame);
    stage.run("app1", &[]);
    stage.run("app2", &[("link", &format!("{}:80", stage.name("app1")))]);
    stage.await_state("app2", &format!("{}-80", stage.name("app1")), "NoListener");
}
