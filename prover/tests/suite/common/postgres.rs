//! A PostgreSQL server of the tests' own, in a temporary directory: gone with the process, however that ends.
//!
//! Without PostgreSQL on the machine the tests that need it say so and pass; with `GRIDVEIL_REQUIRE_POSTGRES` set
//! (`make test`) they fail.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use postgres::{Client, NoTls};

const SOON: Duration = Duration::from_secs(60);

/// Directory of `initdb` and `postgres`.
fn binaries() -> Option<PathBuf> {
    let debian =
        fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&path).collect();
    let mut found: Vec<_> =
        debian.chain(on_path).filter(|dir| dir.join("initdb").exists() && dir.join("postgres").exists()).collect();
    found.sort();
    found.pop()
}

/// The user the server runs as: PostgreSQL refuses root.
fn server_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let ids = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut fields = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Some((fields.next()?, fields.next()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("root, and no other user to run PostgreSQL as"))
}

/// A running server.
#[derive(Debug)]
pub struct Cluster {
    dir: PathBuf,
    binaries: PathBuf,
    server: Option<(Child, ChildStdin)>,
    databases: AtomicU32,
    options: Vec<String>,
}

impl Cluster {
    /// A server of the caller's own. `None`, with a message, where there is no PostgreSQL.
    pub fn start() -> Option<Self> {
        Self::start_with(|_| Vec::new())
    }

    /// The same, with options that `prepare` gives once the directory is there.
    pub fn start_with(prepare: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Some(binaries) = binaries() else {
            assert!(
                std::env::var_os("GRIDVEIL_REQUIRE_POSTGRES").is_none(),
                "PostgreSQL is needed (Debian: apt install postgresql)"
            );
            eprintln!("SKIPPED: no PostgreSQL on this machine (Debian: apt install postgresql; `make test` does that)");
            return None;
        };
        // Short: a socket's path has a bound of some hundred bytes.
        let dir = tempfile::Builder::new().prefix("gridveil-pg-").tempdir().unwrap().keep();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        if let Some((user, group)) = server_user() {
            chown(&dir, Some(user), Some(group)).unwrap();
        }
        let options = prepare(&dir);
        let mut cluster = Self { dir, binaries, server: None, databases: AtomicU32::new(0), options };
        let mut init = cluster.command("initdb");
        init.args(["--no-sync", "--auth=trust", "--username=gridveil", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(cluster.data());
        let init = init.output().unwrap();
        assert!(init.status.success(), "initdb: {}", String::from_utf8_lossy(&init.stderr));
        cluster.resume();
        Some(cluster)
    }

    /// One server for all tests of a process.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// The server's own directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// A file that is the server's secret.
    pub fn put(dir: &Path, name: &str, contents: &str) -> String {
        let path = dir.join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((user, group)) = server_user() {
            chown(&path, Some(user), Some(group)).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }

    fn as_server(program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = server_user() {
            command.uid(user).gid(group);
        }
        command.current_dir("/").env_remove("PGPASSWORD");
        command
    }

    fn command(&self, program: &str) -> Command {
        Self::as_server(&self.binaries.join(program))
    }

    /// Starts the server. It ends when this process does: a shell waits for the end of its input, which the system
    /// closes.
    pub fn resume(&mut self) {
        const SCRIPT: &str = r#"dir=$1; shift; "$@" >"$dir/log" 2>&1 </dev/null & server=$!; read -r how; kill -"${how:-INT}" $server; wait $server
            [ -n "$how" ] || rm -rf "$dir""#;
        let mut command = Self::as_server(Path::new("/bin/sh"));
        command
            .args(["-c", SCRIPT, "sh"])
            .arg(&self.dir)
            .arg(self.binaries.join("postgres"))
            .arg("-D")
            .arg(self.data());
        command.args(["-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=60", "-c"]);
        command.arg(format!("unix_socket_directories={}", self.dir.display()));
        for option in &self.options {
            command.args(["-c", option]);
        }
        let mut child =
            command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        self.server = Some((child, stdin));
        let start = Instant::now();
        while let Err(error) = self.connect("postgres") {
            let log = || fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            assert!(start.elapsed() < SOON, "PostgreSQL does not start: {error}: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server: `INT` ends its connections, `QUIT` is a crash.
    pub fn stop(&mut self, how: &str) {
        let Some((mut child, mut stdin)) = self.server.take() else { return };
        writeln!(stdin, "{how}").unwrap();
        child.wait().unwrap();
    }

    /// A connection past everything that is tested.
    pub fn connect(&self, database: &str) -> Result<Client, postgres::Error> {
        self.url(database).parse::<postgres::Config>().unwrap().connect(NoTls)
    }

    /// Address of a database, through the socket.
    pub fn url(&self, database: &str) -> String {
        let port = self.options.iter().find_map(|option| option.strip_prefix("port=")).unwrap_or("5432");
        format!("postgres://gridveil@{}:{port}/{database}", self.dir.display().to_string().replace('/', "%2F"))
    }

    /// An empty database of the caller's own.
    pub fn database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.connect("postgres").unwrap().batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        name
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop("INT");
        let _ = fs::remove_dir_all(&self.dir);
    }
}
