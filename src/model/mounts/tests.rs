//! Where a socket is found, against a table and against containers whose every file is written down.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn volume(name: &str, destination: &str) -> Mount {
    Mount::new(Source::Volume(name.to_owned()), destination)
}

fn host(path: &str, destination: &str) -> Mount {
    Mount::new(Source::Host(path.to_owned()), destination)
}

fn tmpfs(destination: &str) -> Mount {
    Mount::new(Source::Private, destination)
}

#[test]
fn a_socket_is_where_the_consumer_mounts_what_holds_it() {
    let table = [
        (
            "the same place",
            vec![volume("v", "/run/db")],
            "/run/db/s",
            vec![volume("v", "/run/db")],
            "/run/db/s",
        ),
        ("another place", vec![volume("v", "/run/db")], "/run/db/s", vec![volume("v", "/data")], "/data/s"),
        ("the root", vec![host("/", "/host")], "/host/run/s", vec![host("/run", "/r")], "/r/s"),
        ("below", vec![host("/srv", "/srv")], "/srv/a/s", vec![host("/srv/a", "/x")], "/x/s"),
        ("above", vec![host("/srv/a", "/x")], "/x/s", vec![host("/srv", "/y")], "/y/a/s"),
        ("a file", vec![host("/srv", "/srv")], "/srv/s", vec![host("/srv/s", "/only.sock")], "/only.sock"),
        ("a file of the provider", vec![host("/srv/s", "/s")], "/s", vec![host("/srv", "/srv")], "/srv/s"),
        ("twice", vec![volume("v", "/a")], "/a/s", vec![volume("v", "/long"), volume("v", "/b")], "/b/s"),
        ("slashes", vec![host("/srv//", "/a/")], "/a/.//s", vec![host("/srv/.", "//b")], "/b/s"),
        (
            "the deepest mount of the provider counts",
            vec![volume("v", "/run"), volume("w", "/run/db")],
            "/run/db/s",
            vec![volume("v", "/v"), volume("w", "/w")],
            "/w/s",
        ),
        (
            "what is hidden in one place is seen in another",
            vec![volume("v", "/a")],
            "/a/sub/s",
            vec![volume("v", "/b"), tmpfs("/b/sub"), volume("v", "/longer")],
            "/longer/sub/s",
        ),
        (
            "what lies over it is the same",
            vec![host("/srv", "/a")],
            "/a/sub/s",
            vec![host("/srv", "/b"), host("/srv/sub", "/b/sub")],
            "/b/sub/s",
        ),
        (
            "a folder of the volume",
            vec![volume("v", "/run").of_folder("a/b")],
            "/run/s",
            vec![volume("v", "/v")],
            "/v/a/b/s",
        ),
        (
            "another folder of the volume",
            vec![volume("v", "/run")],
            "/run/a/s",
            vec![volume("v", "/x").of_folder("/b"), volume("v", "/y").of_folder("/a/")],
            "/y/s",
        ),
        (
            "names that only begin alike",
            vec![volume("v", "/run")],
            "/run/s",
            vec![volume("v", "/r"), volume("w", "/r/s2")],
            "/r/s",
        ),
    ];
    for (what, provider, path, consumer, found) in table {
        assert_eq!(path_in(&consumer, &provider, path), Ok(found.to_owned()), "{what}");
    }
}

#[test]
fn what_is_not_shared_says_why() {
    let v = || volume("v", "/run/db");
    let in_v = Source::Volume("v".to_owned());
    let long = format!("/{}", "x".repeat(MAX_SOCKET_PATH_BYTES));
    let table = [
        ("no mount", vec![], vec![v()], Unshared::NotMounted(vec![])),
        ("not there", vec![volume("v", "/run/d")], vec![v()], Unshared::NotMounted(vec!["/run/d".into()])),
        ("a tmpfs over it", vec![volume("v", "/run"), tmpfs("/run/db")], vec![v()], Unshared::Private),
        ("not in the consumer", vec![v()], vec![], Unshared::NotInConsumer(in_v.clone())),
        ("another volume", vec![v()], vec![volume("w", "/run/db")], Unshared::NotInConsumer(in_v.clone())),
        ("a folder called so", vec![v()], vec![host("/v", "/run/db")], Unshared::NotInConsumer(in_v.clone())),
        (
            "a sibling",
            vec![host("/srv/a", "/run/db")],
            vec![host("/srv/ab", "/x"), host("/srv/a/other", "/y")],
            Unshared::NotInConsumer(Source::Host("/srv/a".into())),
        ),
        ("hidden", vec![v()], vec![volume("v", "/d"), tmpfs("/d/s")], Unshared::Hidden(in_v.clone())),
        ("too long", vec![v()], vec![volume("v", &long)], Unshared::TooLong(format!("{long}/s"))),
    ];
    for (what, provider, consumer, why) in table {
        assert_eq!(path_in(&consumer, &provider, "/run/db/s"), Err(why.clone()), "{what}");
        let message = why.message("web", "db", "/run/db/s");
        for word in ["web", "db", "/run/db/s"] {
            assert!(message.contains(word), "{what}: {message:?} does not name {word}");
        }
    }
}

/// Every path of at most three parts.
#[test]
fn mounts_below_another_are_told_and_no_others() {
    let mounts =
        [volume("v", "/run/db"), tmpfs("/run/db/other"), host("/srv", "/run/db2"), volume("w", "/run")];
    let below = |path: &str| nested(&mounts, holder(&mounts, path).unwrap());
    assert_eq!(below("/run/db/s"), ["/run/db/other"]);
    assert_eq!(below("/run/s"), ["/run/db", "/run/db/other", "/run/db2"]);
    assert_eq!(below("/run/db2/s"), [""; 0]);
}

fn paths() -> Vec<String> {
    let mut all = vec![String::new()];
    for _ in 0..3 {
        let longer = all.iter().flat_map(|path| ["a", "b"].map(|part| format!("{path}/{part}")));
        all = [vec![String::new()], longer.collect()].concat();
    }
    all
}

/// What a container finds at every path: the source, and the path there.
fn files(mounts: &[Mount]) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let mut in_order: Vec<&Mount> = mounts.iter().collect();
    in_order.sort_by_key(|mount| mount.destination.len());
    for Mount { source, folder, destination } in in_order {
        let destination = destination.trim_end_matches('/');
        let is_under = |path: &str| path == destination || path.starts_with(&format!("{destination}/"));
        found.retain(|path: &String, _| !is_under(path));
        let (tree, root) = match source {
            Source::Volume(name) => (format!("volume {name}"), folder.trim_end_matches('/')),
            Source::Host(path) => ("host".to_owned(), path.trim_end_matches('/')),
            Source::Private => continue,
        };
        for path in paths() {
            if let Some(rest) =
                path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'))
            {
                found.insert(format!("{destination}{rest}"), (tree.clone(), path.clone()));
            }
        }
    }
    found
}

fn some_path() -> impl Strategy<Value = String> {
    prop::sample::select(paths().into_iter().filter(|path| !path.is_empty()).collect::<Vec<_>>())
}

/// Mounts, no two at one path, as the engine has it.
fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let source = prop_oneof![
        2 => prop::sample::select(vec!["v", "w"]).prop_map(|name| Source::Volume(name.to_owned())),
        3 => prop_oneof![Just("/".to_owned()), some_path()].prop_map(Source::Host),
        1 => Just(Source::Private),
    ];
    let folder = prop_oneof![2 => Just(String::new()), 1 => some_path()];
    prop::collection::btree_map(some_path(), (source, folder), 0..4).prop_map(|mounts| {
        let mount =
            |(at, (source, folder)): (String, (_, String))| Mount::new(source, &at).of_folder(&folder);
        mounts.into_iter().map(mount).collect()
    })
}

proptest! {
    #![proptest_config(crate::model::lab::property(512, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/mounts/seeds")))]

    #[test]
    fn a_socket_is_found_exactly_where_the_consumer_has_that_file(
        (consumer, provider) in (mounts(), mounts()),
        at in any::<prop::sample::Index>(),
    ) {
        let (theirs, ours) = (files(&provider), files(&consumer));
        let path = match theirs.len() {
            0 => "/a".to_owned(),
            some => theirs.keys().nth(at.index(some)).unwrap().clone(),
        };
        let same = |(_, file): &(&String, &(String, String))| Some(*file) == theirs.get(&path);
        let shortest = ours.iter().filter(same).map(|(path, _)| path).min_by_key(|path| (path.len(), *path));
        let found = path_in(&consumer, &provider, &path).ok();
        prop_assert_eq!(found.as_ref(), shortest, "{}", path);
    }

    #[test]
    fn any_text_is_a_path_in_the_end(path in any::<String>(), folder in any::<String>(), socket in any::<String>()) {
        let (provider, consumer) = (vec![host(&folder, &path)], vec![host("/", "/h")]);
        let asked = format!("{path}/{}", socket.replace("..", ""));
        match path_in(&consumer, &provider, &asked) {
            Ok(found) => prop_assert!(found.starts_with("/h") && !found.contains("//") && found.len() <= MAX_SOCKET_PATH_BYTES),
            Err(why) => prop_assert!(matches!(why, Unshared::TooLong(_)), "{:?}", why),
        }
    }
}
