//! Helpers: short-lived containers of an image of ours, in the network namespace of another container.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, HealthConfig, HostConfig,
    HostConfigLogConfig,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
use futures_util::StreamExt;

use super::process::{Input, Outputs};
use super::{Docker, Error, Operation, exec};
use crate::model::container::{ContainerId, ImageId};
use crate::model::owner::HELPER;

/// The program that a helper is, wherever its image has it.
const PROGRAM: &str = "tieline";
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
    /// For which instance of the controller.
    pub instance: String,
    /// Of this image, which has a `tieline` in its path.
    pub image: String,
    /// What `tieline` is told to do.
    pub argv: Vec<String>,
    /// Whose network namespace it shares.
    pub beside: ContainerId,
    /// Whether it has that container's volumes, too, and as whom it looks at them.
    pub volumes_as: Option<Identity>,
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

    /// Ends a container that still runs, and removes it with the volumes that are its own.
    ///
    /// # Errors
    /// If there is none, or it stays.
    pub async fn remove_container(&self, container: &ContainerId) -> Result<(), Error> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
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

    /// Who the program of a container is.
    ///
    /// # Errors
    /// If there is none, or the engine does not tell.
    pub async fn identity_of(&self, id: &ContainerId) -> Result<Identity, Error> {
        let told = self.inspect(id).await?;
        let host = told.host_config.unwrap_or_default();
        Ok(Identity {
            user: told.config.and_then(|config| config.user).unwrap_or_default(),
            groups: host.group_add.unwrap_or_default(),
            gains: host.cap_add.unwrap_or_default(),
            lacks: host.cap_drop.unwrap_or_default(),
        })
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

/// Whether what has these labels is a helper, of whichever instance.
pub(super) fn is_one(labels: Option<&HashMap<String, String>>) -> bool {
    labels.is_some_and(|labels| labels.contains_key(HELPER))
}

/// A container that may do nothing but use the network and, where it is to, look at another's volumes as
/// that one may.
fn body(new: NewHelper) -> ContainerCreateBody {
    let beside = new.beside.0;
    let has_volumes = new.volumes_as.is_some();
    let identity = new.volumes_as.unwrap_or_else(|| Identity {
        user: NOBODY.to_owned(),
        groups: Vec::new(),
        gains: Vec::new(),
        lacks: vec!["ALL".to_owned()],
    });
    let host = HostConfig {
        network_mode: Some(format!("container:{beside}")),
        auto_remove: Some(true),
        // To connect to a socket takes no right to write beside it.
        volumes_from: has_volumes.then(|| vec![format!("{beside}:ro")]),
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
