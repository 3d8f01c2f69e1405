//! Helpers: short-lived containers of an image of ours, in the network namespace of another container.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HealthConfig, HostConfig,
    HostConfigLogConfig, Mount as NewMount, MountType, MountVolumeOptions,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use futures_util::StreamExt;

use super::process::{Input, Outputs};
use super::{Docker, Error, Operation, convert, exec};
use crate::model::container::{ContainerId, ImageId, NetworkMode};
use crate::model::mounts::{Mount, Source};
use crate::model::owner::HELPER;

/// The program that a helper is, where `deploy/Dockerfile` puts it.
const PROGRAM: &str = "/usr/local/bin/tieline";
/// The folder of a helper below which it has a mount of another container, at the path that the mount has there.
/// Nothing else is in it.
pub const MOUNTED: &str = "/tieline/mounted";
/// As whom a helper runs, where it does not matter: nobody in particular.
const NOBODY: &str = "65532:65532";
/// How much memory a helper gets, in bytes.
const MEMORY: i64 = 64 * 1024 * 1024;
/// How many threads and processes a helper gets.
const THREADS: i64 = 64;
/// One for each core would be more than that on a large machine, and one is enough.
const ONE_THREAD: &str = "TOKIO_WORKER_THREADS=1";

/// A helper to be made.
#[derive(Clone, Debug)]
pub struct NewHelper {
    /// The instance of the controller that it speaks for.
    pub instance: String,
    /// The image, which has the program at `/usr/local/bin/tieline`.
    pub image: String,
    /// The arguments of `tieline`.
    pub argv: Vec<String>,
    /// The container whose network namespace it shares.
    pub beside: ContainerId,
    /// The part of that container's files that the helper sees; nothing unless a socket's path asks for it.
    pub view: Option<View>,
}

/// The part of another container's files that a helper sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The user whose rights it has there.
    pub identity: Identity,
    /// The only mount of the other that it has, read-only.
    pub mount: Mount,
    /// The paths of the other's mounts below that one.
    pub others: Vec<String>,
}

/// Who the program of a container is, as far as files ask. As whoever made it, or its image, wrote that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `USER`, `USER:GROUP` or nothing, by number or by name.
    pub user: String,
    /// Further groups, by number or by name.
    pub groups: Vec<String>,
    /// Capabilities beyond the usual ones.
    pub gains: Vec<String>,
    /// Usual capabilities that it lacks.
    pub lacks: Vec<String>,
}

/// A helper that the engine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its id.
    pub id: ContainerId,
    /// Whether it runs.
    pub runs: bool,
}

impl Docker {
    /// Makes a helper, which the engine removes once it has run, and says its id.
    ///
    /// # Errors
    /// If the engine has no such image, or does not make it.
    pub async fn create_helper(&self, new: NewHelper) -> Result<ContainerId, Error> {
        // A name that says what it is to whoever sees it in a list.
        let name = format!("{}{}_{:08x}", called(&new.instance), new.beside, fastrand::u32(..));
        let options = CreateContainerOptions { name: Some(name), ..CreateContainerOptions::default() };
        let body = body(new);
        let create = async |client: &bollard::Docker| client.create_container(Some(options), body).await;
        Ok(ContainerId(self.call(Operation::ContainerCreate, create).await?.id))
    }

    /// The three standard streams of a container, which need not have started.
    ///
    /// # Errors
    /// If the engine does not hand them out.
    pub async fn attach(&self, container: &ContainerId) -> Result<(Input, Outputs), Error> {
        let options = AttachContainerOptions {
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
            ..AttachContainerOptions::default()
        };
        let attach =
            async |client: &bollard::Docker| client.attach_container(container.as_str(), Some(options)).await;
        let attached = self.call(Operation::ContainerAttach, attach).await?;
        Ok((attached.input, attached.output.filter_map(async |piece| exec::read(piece)).boxed()))
    }

    /// Starts a container.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_container(&self, container: &ContainerId) -> Result<(), Error> {
        let options = None::<StartContainerOptions>;
        let start =
            async |client: &bollard::Docker| client.start_container(container.as_str(), options).await;
        self.call(Operation::ContainerStart, start).await
    }

    /// Ends a container that still runs, and removes it. No volume is removed with it: a helper that an older
    /// version made may be the last user of a volume of somebody else.
    ///
    /// # Errors
    /// If there is none, or it stays.
    pub async fn remove_container(&self, container: &ContainerId) -> Result<(), Error> {
        let options = RemoveContainerOptions { v: false, force: true, link: false };
        let remove =
            async |client: &bollard::Docker| client.remove_container(container.as_str(), Some(options)).await;
        self.call(Operation::ContainerRemove, remove).await
    }

    /// Of which image a container is.
    ///
    /// # Errors
    /// If there is none, or the engine does not tell.
    pub async fn image_of(&self, id: &ContainerId) -> Result<ImageId, Error> {
        Ok(ImageId(self.inspect(id).await?.image.unwrap_or_default()))
    }

    /// The identity of a container's program, and the container's mounts.
    ///
    /// # Errors
    /// If there is none, or the engine does not tell.
    pub async fn files_of(&self, id: &ContainerId) -> Result<(Identity, Vec<Mount>), Error> {
        let told = self.inspect(id).await?;
        let host = told.host_config.unwrap_or_default();
        let identity = Identity {
            user: told.config.and_then(|config| config.user).unwrap_or_default(),
            groups: host.group_add.unwrap_or_default(),
            gains: host.cap_add.unwrap_or_default(),
            lacks: host.cap_drop.unwrap_or_default(),
        };
        Ok((identity, convert::mounts(told.mounts, host.mounts, host.tmpfs)))
    }

    /// The helpers of an instance, in whichever state.
    ///
    /// # Errors
    /// If the engine does not tell.
    pub async fn list_helpers(&self, instance: &str) -> Result<Vec<Found>, Error> {
        let labels = vec![format!("{HELPER}={instance}")];
        let list = self.all_summaries(Some(HashMap::from([("label".to_owned(), labels)]))).await?;
        // Whoever asks for these may remove them, so an engine that takes no filter must not matter.
        let is_ours = |summary: &ContainerSummary| {
            let names = summary.names.iter().flatten();
            // A person may have written the label, and is only hidden by it.
            names.map(|name| name.trim_start_matches('/')).any(|name| name.starts_with(&called(instance)))
                && summary
                    .labels
                    .as_ref()
                    .and_then(|labels| labels.get(HELPER))
                    .is_some_and(|of| of == instance)
        };
        let found = |summary: ContainerSummary| {
            use ContainerSummaryStateEnum::{PAUSED, RUNNING};
            let runs = matches!(summary.state, Some(RUNNING | PAUSED));
            Some(Found { id: ContainerId(summary.id?), runs })
        };
        Ok(list.into_iter().filter(is_ours).filter_map(found).collect())
    }
}

/// How the names of an instance's helpers begin.
fn called(instance: &str) -> String {
    format!("{instance}_helper_")
}

/// Whether a container is a helper, of whichever instance. Anybody may write the label and choose the name,
/// so a container with a network namespace of its own is never hidden by them.
pub(super) fn is_one(label: Option<&String>, name: &str, mode: NetworkMode) -> bool {
    mode == NetworkMode::Shared && is_called_one(label, name)
}

/// Whether a container has the label and the name of a helper.
pub(super) fn is_called_one(label: Option<&String>, name: &str) -> bool {
    label.is_some_and(|instance| name.trim_start_matches('/').starts_with(&called(instance)))
}

/// The mount of another container at a helper's own path.
///
/// A volume is mounted by its name, also one whose name the engine has made up: the engine takes a volume without a
/// name in the request for the helper's own, and removes it with the helper. `--volumes-from` asks without a name.
fn mounted(mount: &Mount) -> Option<NewMount> {
    let (typ, source) = match mount.source() {
        Source::Volume(name) => (MountType::VOLUME, name),
        Source::Host(path) => (MountType::BIND, path),
        Source::Private => return None,
    };
    let volume_options = (typ == MountType::VOLUME).then(|| MountVolumeOptions {
        // Otherwise the engine fills an empty volume with what the image has at the path.
        no_copy: Some(true),
        subpath: Some(mount.subpath().to_owned()).filter(|path| !path.is_empty()),
        ..MountVolumeOptions::default()
    });
    Some(NewMount {
        typ: Some(typ),
        source: Some(source.clone()),
        target: Some(format!("{MOUNTED}{}", mount.destination())),
        // To connect to a socket takes no right to write beside it.
        read_only: Some(true),
        volume_options,
        ..NewMount::default()
    })
}

/// A container that may do nothing but use the network and, where a socket's path asks for it, look at one mount of
/// another container as that container's program may.
fn body(new: NewHelper) -> ContainerCreateBody {
    let mounts = new.view.as_ref().and_then(|view| mounted(&view.mount)).map(|mount| vec![mount]);
    let identity = new.view.map_or_else(
        || Identity {
            user: NOBODY.to_owned(),
            groups: Vec::new(),
            gains: Vec::new(),
            lacks: vec!["ALL".to_owned()],
        },
        |view| view.identity,
    );
    let host = HostConfig {
        network_mode: Some(format!("container:{}", new.beside)),
        auto_remove: Some(true),
        mounts,
        readonly_rootfs: Some(true),
        group_add: Some(identity.groups),
        cap_add: Some(identity.gains),
        cap_drop: Some(identity.lacks),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        memory: Some(MEMORY),
        pids_limit: Some(THREADS),
        // What it says is told to us alone, and as it is said.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(new.image),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(new.argv),
        env: Some(vec![ONE_THREAD.to_owned()]),
        user: Some(identity.user),
        labels: Some(HashMap::from([(HELPER.to_owned(), new.instance)])),
        // What its image checks is the health of a controller.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }),
        open_stdin: Some(true),
        // It ends when we do.
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_config(mount: Option<Mount>) -> HostConfig {
        let identity = Identity { user: "1000:50".to_owned(), groups: vec![], gains: vec![], lacks: vec![] };
        let new = NewHelper {
            instance: "tieline".to_owned(),
            image: "tieline".to_owned(),
            argv: vec!["speak".to_owned()],
            beside: ContainerId("1".to_owned()),
            view: mount.map(|mount| View { identity, mount, others: vec![] }),
        };
        let body = body(new);
        assert_eq!(body.entrypoint, Some(vec!["/usr/local/bin/tieline".to_owned()]));
        body.host_config.unwrap()
    }

    #[test]
    fn a_helper_has_one_mount_by_name_and_at_a_path_of_its_own() {
        let volume = Mount::new(Source::Volume("v".to_owned()), "/usr/local/bin").of_folder("a/b");
        let host = host_config(Some(volume));
        assert_eq!(host.volumes_from, None);
        let [mount] = host.mounts.unwrap().try_into().unwrap();
        assert_eq!((mount.typ, mount.source.as_deref()), (Some(MountType::VOLUME), Some("v")));
        assert_eq!(mount.target.as_deref(), Some("/tieline/mounted/usr/local/bin"));
        assert_eq!(mount.read_only, Some(true));
        let options = mount.volume_options.unwrap();
        assert_eq!((options.no_copy, options.subpath.as_deref()), (Some(true), Some("a/b")));

        let host = host_config(Some(Mount::new(Source::Host("/srv".to_owned()), "/run")));
        let [mount] = host.mounts.unwrap().try_into().unwrap();
        assert_eq!((mount.typ, mount.source.as_deref()), (Some(MountType::BIND), Some("/srv")));
        assert_eq!((mount.read_only, mount.volume_options), (Some(true), None));
        assert_eq!(host_config(None).mounts, None);
    }
}
