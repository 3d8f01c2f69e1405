//! Speaks by helpers: for each side a short-lived container of our own image, in the network namespace of
//! the container that it speaks for. Nothing is needed of that one, not even a shell.
//!
//! The engine removes a helper that has run; one that has not, or does not end, is removed by whoever
//! made it (`Made`), and what a killed controller left is swept ([`sweep()`]).

mod image;
mod made;
mod sweep;

use std::time::Duration;

use tokio::sync::OnceCell;

use super::Side;
use super::handshake::{Means, Running, Trouble};
use super::overdue::{Interest, Overdue, Speaking};
use crate::docker::helper::{Identity, MOUNTED, NewHelper, View};
use crate::docker::process::Process;
use crate::docker::{Conflict, Docker, Error};
use crate::model::handshake::InconclusiveReason;
use crate::model::handshake::role::Role;
use crate::model::handshake::transcript::excerpt;
use crate::model::labels::shown;
use crate::model::mounts::{self, Source};
use crate::speaker::argv::{argv, below};
use image::Image;
use made::Made;

pub use sweep::sweep;

/// Makes a helper for each side of a handshake.
pub struct Helper {
    docker: Docker,
    instance: String,
    image: Image,
    is_podman: OnceCell<bool>,
    helpers: Overdue,
}

/// How long the engine may take to remove a helper that nobody needs any more, on a busy machine.
const HELPER_GRACE: Duration = Duration::from_secs(30);

impl Helper {
    /// For the controller called `instance`. Helpers are of `image`; where none is given, of the one that
    /// we run in ourselves, and else of the usual one.
    pub fn new(docker: Docker, instance: &str, image: Option<String>) -> Self {
        let (instance, image) = (instance.to_owned(), Image::new(image));
        Self { docker, instance, image, is_podman: OnceCell::new(), helpers: Overdue::after(HELPER_GRACE) }
    }
}

impl Means for Helper {
    const NAME: &'static str = "helper";

    async fn start<'a>(
        &'a self,
        side: &'a Side,
        role: &Role,
        bound: Duration,
    ) -> Result<Running<'a>, Trouble> {
        self.not_on_podman(side).await?;
        let image = self.image.name(&self.docker).await;
        let view = self.view(side, role).await?;
        let mut argv = argv(role, bound);
        argv.extend(view.iter().flat_map(|view| {
            below(MOUNTED, view.mount.destination(), view.others.iter().map(String::as_str))
        }));
        let new = NewHelper {
            instance: self.instance.clone(),
            image: image.clone(),
            argv,
            beside: side.id.clone(),
            view,
        };
        let begun = self.helpers.begin(side, bound)?;
        // In a task of its own: whoever loses interest in a call does not learn what it has made.
        let starting = tokio::spawn(start(self.docker.clone(), new, begun));
        let started = starting.await.map_err(|died| {
            Trouble::new(InconclusiveReason::EngineUnavailable, format!("{}: {died}", side.name))
        })?;
        let process = started.map_err(|error| trouble(&error, side, &image))?;
        Ok(Running::ours(side, process))
    }
}

impl Helper {
    /// There, a container cannot be removed while another uses its network, and one that does not run is
    /// started by it.
    async fn not_on_podman(&self, side: &Side) -> Result<(), Trouble> {
        let ask = || async { Ok(self.docker.version().await?.is_podman()) };
        match self.is_podman.get_or_try_init(ask).await.map_err(|error| Trouble::of(&error, side))? {
            false => Ok(()),
            true => {
                let message = "Podman does not let go of a container that a helper is beside".to_owned();
                Err(Trouble::new(InconclusiveReason::NoRights, message))
            }
        }
    }

    /// The part of the side's files that the helper needs to play `role`: for a socket the mount that holds it, as the
    /// side's own user, since the question is what that user may do.
    async fn view(&self, side: &Side, role: &Role) -> Result<Option<View>, Trouble> {
        let Role::SocketClient { path, .. } = role else { return Ok(None) };
        let unsupported =
            |what: String| Trouble::new(InconclusiveReason::Unsupported, format!("{}: {what}", side.name));
        let told = self.docker.files_of(&side.id).await.map_err(|error| Trouble::of(&error, side))?;
        let (identity, mounts) = told;
        let mount = mounts::holder(&mounts, path).filter(|mount| *mount.source() != Source::Private);
        let mount = mount.ok_or_else(|| {
            unsupported(format!(
                "a helper sees volumes and host folders only, and {} is on none",
                shown(path)
            ))
        })?;
        let groups = identity.groups.iter().all(|group| is_number(group));
        let user = as_numbers(&identity.user).filter(|_| groups).ok_or_else(|| {
            let what =
                "a helper cannot be its user, whom only its own image knows; write numbers, as USER:GROUP";
            unsupported(what.to_owned())
        })?;
        let others = mounts::nested(&mounts, mount);
        Ok(Some(View { identity: Identity { user, ..identity }, mount: mount.clone(), others }))
    }
}

/// A user and the only group that goes with it, where no image has to be asked for either.
fn as_numbers(user: &str) -> Option<String> {
    match user.split_once(':').unwrap_or((user, "")) {
        ("" | "0", "") => Some("0:0".to_owned()),
        (name, group) => (is_number(name) && is_number(group)).then(|| user.to_owned()),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Makes a helper and starts it. Its streams come first, so that nothing it says is lost.
async fn start(docker: Docker, new: NewHelper, begun: (Speaking, Interest)) -> Result<Process, Error> {
    let made = Made::new(docker.create_helper(new).await?, docker.clone(), begun);
    let (input, outputs) = docker.attach(made.id()).await?;
    docker.start_container(made.id()).await?;
    // What ours has to say of its end, it says itself.
    Ok(Process::new(input, made.watch(outputs), Box::pin(async { Ok(None) })))
}

/// What an error of the engine means for a helper of `image` that was to speak for `side`.
fn trouble(error: &Error, side: &Side, image: &str) -> Trouble {
    let said = excerpt(error.to_string().as_bytes());
    let message = match error {
        Error::Conflict { what: Conflict::NoImage, .. } => {
            format!(
                "the engine has no image {image} for helpers; tell it to by --helper-image, or make it ({said})"
            )
        }
        Error::Forbidden(_) => {
            format!("the engine may not be told to make, attach, start and remove helper containers ({said})")
        }
        Error::Rejected(_) => {
            let message = format!("{}: no helper of the image {image} runs beside it: {said}", side.name);
            return Trouble::new(InconclusiveReason::ExecFailed, message);
        }
        error => return Trouble::of(error, side),
    };
    Trouble::new(InconclusiveReason::NoRights, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_user_whom_no_image_has_to_explain_can_be_borrowed() {
        for root in ["", "0", "0:0"] {
            assert_eq!(as_numbers(root).as_deref(), Some("0:0"), "{root}");
        }
        assert_eq!(as_numbers("1000:50").as_deref(), Some("1000:50"));
        for unclear in ["1000", "1000:", ":50", "web", "web:50", "1000:web", "-1:0", "1:2:3"] {
            assert_eq!(as_numbers(unclear), None, "{unclear}");
        }
    }
}
