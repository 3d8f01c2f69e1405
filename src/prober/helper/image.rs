//! Of which image helpers are.

use tokio::sync::OnceCell;

use crate::docker::{Docker, Error};
use crate::model::container::ContainerId;

/// What the image is called where nobody says anything else.
const USUAL: &str = "tieline:latest";
/// Where Linux shows what is mounted where (proc(5)).
const MOUNTS: &str = "/proc/self/mountinfo";
/// What an engine mounts into each container from the folder that it has for it, whichever network it uses.
const OWN_FILES: [&str; 3] = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];

/// The image, once it is known.
pub(super) struct Image {
    found: OnceCell<String>,
}

impl Image {
    pub fn new(given: Option<String>) -> Self {
        Self { found: OnceCell::new_with(given) }
    }

    /// The image's name or id. The one that we run in has this very program in it.
    pub async fn name(&self, docker: &Docker) -> String {
        let found = self.found.get_or_try_init(|| async {
            let Some(id) = own_container(&std::fs::read_to_string(MOUNTS).unwrap_or_default()) else {
                return Ok(USUAL.to_owned());
            };
            match docker.image_of(&id).await {
                Ok(image) => Ok(image.0),
                // Another engine made it.
                Err(Error::NotFound(_)) => Ok(USUAL.to_owned()),
                Err(error) => Err(error),
            }
        });
        // An engine that could not say is asked again the next time.
        found.await.map_or_else(|_| USUAL.to_owned(), Clone::clone)
    }
}

/// The container in which we run, if its engine's folders tell: with the host's network and a cgroup
/// namespace, nothing else does.
fn own_container(mounts: &str) -> Option<ContainerId> {
    let is_id = |part: &&str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        let id = root.split('/').find(is_id).filter(|_| OWN_FILES.contains(&at))?;
        Some(ContainerId(id.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4964e6a8aefe7b3c8b0c7e3c08db6cb32adc767afc6e3b2697d7537ea6e09856";

    #[test]
    fn what_an_engine_mounts_into_a_container_tells_which_one_it_is() {
        for root in [
            format!("/var/lib/docker/containers/{ID}"),
            format!("/run/containers/overlay-containers/{ID}/userdata"),
        ] {
            let mounts = format!(
                "472 471 0:63 / / ro - overlay overlay ro\n\
                 636 472 254:0 {root}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw\n"
            );
            assert_eq!(own_container(&mounts), Some(ContainerId(ID.to_owned())), "{root}");
        }
    }

    #[test]
    fn what_people_mount_tells_nothing() {
        for (root, at) in [
            (format!("/var/lib/docker/containers/{ID}/hosts"), "/mnt/hosts"),
            (format!("/var/lib/docker/volumes/{ID}/_data"), "/data"),
            ("/etc/hosts".to_owned(), "/etc/hosts"),
        ] {
            assert_eq!(
                own_container(&format!("636 472 254:0 {root} {at} rw - ext4 /dev/vda rw\n")),
                None,
                "{at}"
            );
        }
        assert_eq!(own_container(""), None);
        assert_eq!(own_container("636 472"), None);
    }
}
