//! What two containers have mounted, and what a path in one is called in the other.
//!
//! Pure text: symbolic links inside a container are not followed, so a path means what is mounted there by
//! that very name.

use super::handshake::FailReason;
use super::labels::{MAX_SOCKET_PATH_BYTES, shown, some_of};

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The volume of this name, which is what containers that mount it have in common.
    Volume(String),
    /// A file or folder of the host.
    Host(String),
    /// Something that no other container can have, such as a tmpfs.
    Private,
}

/// Something that a container has mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    source: Source,
    /// The folder of the source that is mounted: of a volume perhaps not its root.
    folder: String,
    destination: String,
}

impl Mount {
    /// `source` at the path `destination` of the container.
    pub fn new(source: Source, destination: &str) -> Self {
        let source = match source {
            Source::Host(path) => Source::Host(normal(&path)),
            source => source,
        };
        Self { source, folder: normal(""), destination: normal(destination) }
    }

    /// The same mount of only a folder of the volume.
    #[must_use]
    pub fn of_folder(self, folder: &str) -> Self {
        Self { folder: normal(folder), ..self }
    }

    /// The thing that is mounted.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The folder of a volume that is mounted, below the volume's root; empty where it is the root.
    pub fn subpath(&self) -> &str {
        self.folder.trim_start_matches('/')
    }

    /// The path in the container.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The place of what is mounted, unless it is private.
    fn place(&self) -> Option<Place<'_>> {
        match &self.source {
            Source::Volume(name) => Some(Place { volume: Some(name), path: self.folder.clone() }),
            Source::Host(path) => Some(Place { volume: None, path: path.clone() }),
            Source::Private => None,
        }
    }
}

/// A file or folder, whoever has it mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place<'a> {
    /// The volume in which it is, unless it is the host's.
    volume: Option<&'a str>,
    /// Its path there.
    path: String,
}

/// Why one container does not have what is at a path in the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unshared {
    /// Nothing is mounted there in the provider. Where something is.
    NotMounted(Vec<String>),
    /// What is mounted there in the provider can be mounted nowhere else.
    Private,
    /// The consumer does not mount this, in which the provider has it.
    NotInConsumer(Source),
    /// The consumer mounts this, and something else over the place.
    Hidden(Source),
    /// The consumer has it at a path that is too long for a socket.
    TooLong(String),
}

impl Unshared {
    /// The reason, for programs.
    pub fn reason(&self) -> FailReason {
        match self {
            Self::TooLong(_) => FailReason::SocketPathTooLong,
            _ => FailReason::MountMissing,
        }
    }

    /// What is the matter with `path` of the provider, and what to do about it.
    pub fn message(&self, consumer: &str, provider: &str, path: &str) -> String {
        let path = shown(path);
        match self {
            Self::NotMounted(elsewhere) => {
                let elsewhere = match elsewhere.as_slice() {
                    [] => String::new(),
                    some => format!(" (what it mounts is at {})", some_of(some)),
                };
                format!(
                    "{provider} has {path} on no volume or host folder{elsewhere}: mount one at the socket's \
                     folder, and the same one in {consumer}"
                )
            }
            Self::Private => format!(
                "{provider} has {path} on a tmpfs, which no other container can have: mount a volume there, and \
                 the same one in {consumer}"
            ),
            Self::NotInConsumer(source) => format!(
                "{provider} has {path} on {}, which {consumer} does not mount: mount it there too, at any path",
                named(source)
            ),
            Self::Hidden(source) => format!(
                "{provider} has {path} on {}, and in {consumer} something else is mounted over that place",
                named(source)
            ),
            Self::TooLong(found) => format!(
                "{consumer} has {path} of {provider} at {}: the kernel takes at most {MAX_SOCKET_PATH_BYTES} \
                 bytes, and these are {}; mount it at a shorter path",
                shown(found),
                found.len()
            ),
        }
    }
}

fn named(source: &Source) -> String {
    match source {
        Source::Volume(name) => format!("the volume {}", shown(name)),
        Source::Host(path) => format!("the host's {}", shown(path)),
        Source::Private => "a tmpfs".to_owned(),
    }
}

/// The path at which the consumer has the socket that the provider has at `path`; the shortest of several.
///
/// # Errors
/// If it has it nowhere, or nowhere that a socket's path may be.
pub fn path_in(consumer: &[Mount], provider: &[Mount], path: &str) -> Result<String, Unshared> {
    let path = normal(path);
    let Some((mount, rest)) = mounted_at(provider, &path) else {
        return Err(Unshared::NotMounted(provider.iter().map(|mount| mount.destination.clone()).collect()));
    };
    let place = within(mount.place().ok_or(Unshared::Private)?, rest);
    let holders = consumer.iter().filter_map(|mount| {
        let root = mount.place().filter(|root| root.volume == place.volume)?;
        below(&root.path, &place.path).map(|rest| join(&mount.destination, rest))
    });
    let holders: Vec<String> = holders.collect();
    let seen = |path: &&String| {
        let found = mounted_at(consumer, path);
        found.is_some_and(|(mount, rest)| {
            mount.place().map(|root| within(root, rest)).as_ref() == Some(&place)
        })
    };
    match holders.iter().filter(seen).min_by_key(|path| (path.len(), *path)) {
        Some(path) if path.len() > MAX_SOCKET_PATH_BYTES => Err(Unshared::TooLong(path.clone())),
        Some(path) => Ok(path.clone()),
        None if holders.is_empty() => Err(Unshared::NotInConsumer(mount.source.clone())),
        None => Err(Unshared::Hidden(mount.source.clone())),
    }
}

/// The mount on which a container has `path`.
pub fn holder<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    mounted_at(mounts, &normal(path)).map(|(mount, _)| mount)
}

/// The paths of the mounts below another one.
pub fn nested(mounts: &[Mount], outer: &Mount) -> Vec<String> {
    let below_outer = |path: &&str| below(&outer.destination, path).is_some_and(|rest| !rest.is_empty());
    mounts.iter().map(Mount::destination).filter(below_outer).map(str::to_owned).collect()
}

/// The mount on which `path` is, and what of the path is below it: a mount hides what was there before.
fn mounted_at<'m, 'p>(mounts: &'m [Mount], path: &'p str) -> Option<(&'m Mount, &'p str)> {
    let over = mounts.iter().filter_map(|mount| Some((mount, below(&mount.destination, path)?)));
    over.max_by_key(|(mount, _)| mount.destination.len())
}

/// What is at `rest` below `place`.
fn within<'a>(place: Place<'a>, rest: &str) -> Place<'a> {
    Place { path: join(&place.path, rest), ..place }
}

/// What of `path` is below `folder`, if it is `folder` or below it.
fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    let rest = path.strip_prefix(folder.trim_end_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn join(folder: &str, rest: &str) -> String {
    normal(&format!("{folder}/{rest}"))
}

/// The whole path without the parts that say nothing.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests;
