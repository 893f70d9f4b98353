//! What a decoding process cannot do, tried from inside; and that it dies with its parent.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use longvu::{Sampling, VideoOptions};
use longvu_server::internals::enter_sandbox;

use crate::{
    Test,
    support::{LIMITS, ROLE, golden, isolated, scratch, soon, state},
};

pub const TESTS: &[Test] = &[
    ("nothing_else_can_be_reached", nothing_else_can_be_reached),
    ("processor_time_is_limited", processor_time_is_limited),
    ("it_dies_with_its_parent", it_dies_with_its_parent),
];

/// Places for the roles: the file that may be read, and the rest, of which nothing may be had.
const ALLOWED: &str = "LONGVU_TEST_ALLOWED";
const FOLDER: &str = "LONGVU_TEST_FOLDER";
const ADDRESS: &str = "LONGVU_TEST_ADDRESS";

/// What this program does when it is run again by these tests.
pub fn play(role: &str) {
    match role {
        "prisoner" => try_everything(),
        "spinner" => {
            enter_sandbox(&place(ALLOWED), 1 << 30, 1);
            loop {
                std::hint::spin_loop();
            }
        }
        "parent" => be_a_parent(),
        _ => panic!("the role {role}"),
    }
}

fn place(name: &str) -> PathBuf {
    std::env::var_os(name).expect("a place").into()
}

/// This program in another role.
fn again(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env(ALLOWED, golden("video1.mp4"));
    command
}

/// Locks itself in, and says of each thing whether it can be done.
fn try_everything() {
    let (allowed, folder, address) = (place(ALLOWED), place(FOLDER), std::env::var(ADDRESS).unwrap());
    let (other, new) = (folder.join("other"), folder.join("new"));
    let own = std::process::id().to_string();
    for missing in enter_sandbox(&allowed, 1 << 30, 60) {
        println!("missing {missing}");
    }
    let can = |what: &str, done: io::Result<()>| println!("{what} {}", if done.is_ok() { "done" } else { "refused" });
    can("read", fs::read(&allowed).map(drop));
    can("thread", thread::Builder::new().spawn(|| {}).map(|thread| thread.join().unwrap()));
    can("memory", Vec::<u8>::new().try_reserve_exact(1 << 29).map_err(io::Error::other));
    can("other", File::open(&other).map(drop));
    can("passwords", File::open("/etc/passwd").map(drop));
    can("list", fs::read_dir(&folder).map(drop));
    can("write", OpenOptions::new().write(true).open(&other).map(drop));
    can("overwrite", OpenOptions::new().write(true).open(&allowed).map(drop));
    can("create", File::create(&new).map(drop));
    can("remove", fs::remove_file(&other));
    can("rename", fs::rename(&other, &new));
    can("link", fs::hard_link(&allowed, &new));
    can("connect", TcpStream::connect(&address).map(drop));
    can("listen", TcpListener::bind("127.0.0.1:0").map(drop));
    can("datagram", UdpSocket::bind("127.0.0.1:0").map(drop));
    can("program", Command::new("/bin/true").status().map(drop));
    can("signal", rustix_kill());
    can("much", Vec::<u8>::new().try_reserve_exact(2 << 30).map_err(io::Error::other));
    can("memory of others", File::open(format!("/proc/{own}/mem")).map(drop));
}

/// A signal to the parent, which would do nothing.
fn rustix_kill() -> io::Result<()> {
    let parent = rustix::process::getppid().expect("a parent");
    Ok(rustix::process::test_kill_process(parent)?)
}

fn nothing_else_can_be_reached() {
    let folder = scratch();
    fs::write(folder.path().join("other"), "secret").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let output = again("prisoner").env(FOLDER, folder.path()).env(ADDRESS, address).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let (missing, tried): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.starts_with("missing"));
    let (done, refused): (Vec<&str>, Vec<&str>) = tried.iter().partition(|line| line.ends_with("done"));
    assert_eq!(tried.len(), 19, "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("other")).unwrap(), "secret");
    if missing.is_empty() {
        assert_eq!(done, ["read done", "thread done", "memory done"], "{said}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    } else {
        // Kernels without all of it: what there is holds, and what is missing was said.
        assert!(refused.contains(&"much refused"), "{said}");
    }
}

fn processor_time_is_limited() {
    use std::os::unix::process::ExitStatusExt;
    let status = again("spinner").status().unwrap();
    assert_eq!(status.signal(), Some(rustix::process::Signal::XCPU.as_raw()), "{status}");
}

/// Starts decoding, says the process's number, and waits to be killed.
fn be_a_parent() {
    let every = VideoOptions::default().with_sampling(Sampling::Every(1));
    let decoding = isolated(LIMITS).open(&golden("video1.mp4"), &every).unwrap();
    println!("{}", decoding.killer().process().unwrap());
    thread::sleep(Duration::from_secs(60));
}

fn it_dies_with_its_parent() {
    let mut parent = again("parent").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let process: u32 = line.trim().parse().unwrap();
    assert_eq!(state(process).unwrap().1, parent.id());
    parent.kill().unwrap();
    parent.wait().unwrap();
    // Whoever inherits it may leave it unreaped.
    soon("the end of the process", || state(process).is_none_or(|(state, _)| state == 'Z'));
}
