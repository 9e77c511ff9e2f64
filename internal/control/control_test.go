package control

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// start runs a server until the test ends and returns its path.
func start(t *testing.T, path string, snapshot func() (any, error)) string {
	t.Helper()
	s, err := Listen(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s.HandleJSON("GET /stats", func(*http.Request) (any, error) { return snapshot() })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(s.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return s.Path()
}

func stats(ctx context.Context, path string) error {
	var body json.RawMessage
	return Client{path}.Get(ctx, "/stats", &body)
}

// private points Dir into a directory of the test's own; as root that is not possible, since root's is fixed.
func private(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
}

func TestGet(t *testing.T) {
	path := start(t, filepath.Join(t.TempDir(), "c.sock"), func() (any, error) { return map[string]int{"rx": 7}, nil })
	var got map[string]int
	if err := (Client{path}).Get(t.Context(), "/stats", &got); err != nil || got["rx"] != 7 {
		t.Errorf("got %v, %v", got, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestPost(t *testing.T) {
	s, err := Listen(Config{Path: filepath.Join(t.TempDir(), "c.sock")})
	if err != nil {
		t.Fatal(err)
	}
	s.HandleJSON("POST /double", func(r *http.Request) (any, error) {
		var n int
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, BadRequest{err}
		}
		return 2 * n, nil
	})
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	c := Client{s.Path()}
	var got int
	if err := c.Post(ctx, "/double", 21, &got); err != nil || got != 42 {
		t.Errorf("got %d, %v", got, err)
	}
	if err := c.Post(ctx, "/double", "x", &got); err == nil || !strings.Contains(err.Error(), "cannot unmarshal string") {
		t.Errorf("of a string: %v", err)
	}
	if err := c.Get(ctx, "/double", &got); err == nil || !strings.Contains(err.Error(), "Method Not Allowed") {
		t.Errorf("GET: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestGroup has members of a group ask, and nobody else besides the process's own user and root.
// Who asks for the end of the server is still answered, and who never lets go does not keep it.
func TestLastAnswer(t *testing.T) {
	s, err := Listen(Config{Path: filepath.Join(t.TempDir(), "c.sock")})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	s.HandleJSON("POST /end", func(*http.Request) (any, error) {
		cancel()
		<-ctx.Done()
		time.Sleep(lastAnswers / 10) // the server is ending by now
		return "ended", nil
	})
	s.HandleStream("GET /forever", func(w http.ResponseWriter, r *http.Request) error {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return nil
	})
	go func() {
		defer close(ended)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stream, err := Client{s.Path()}.Stream(t.Context(), "/forever")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	var got string
	if err := (Client{s.Path()}).Post(t.Context(), "/end", nil, &got); err != nil || got != "ended" {
		t.Errorf("%q, %v", got, err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("a stream keeps the server")
	}
}

func TestGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a socket to another group")
	}
	s, err := Listen(Config{Path: filepath.Join(t.TempDir(), "c.sock"), Group: "4711"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	st, err := os.Stat(s.Path())
	if err != nil || st.Mode().Perm() != 0o660 || st.Sys().(*syscall.Stat_t).Gid != 4711 {
		t.Errorf("%+v, %v", st, err)
	}
	may := s.listener.Listener.(permitted).may
	for _, c := range []struct {
		uid, gid uint32
		want     bool
	}{{0, 0, true}, {65534, 4711, true}, {65534, 65534, false}, {4000000, 4712, false}} {
		if got := may.allows(&unix.Ucred{Uid: c.uid, Gid: c.gid}); got != c.want {
			t.Errorf("user %d of group %d: %v", c.uid, c.gid, got)
		}
	}
	if _, err := Listen(Config{Group: "no-such-group"}); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("unknown group: %v", err)
	}
}

func TestSnapshotFails(t *testing.T) {
	path := start(t, filepath.Join(t.TempDir(), "c.sock"), func() (any, error) { return nil, errors.New("shard 3 is stuck") })
	if err := stats(t.Context(), path); err == nil || !strings.Contains(err.Error(), "shard 3 is stuck") {
		t.Errorf("error %v", err)
	}
}

func TestSnapshotThatBlocksEndsWithTheClientsPatience(t *testing.T) {
	release := make(chan struct{})
	path := start(t, filepath.Join(t.TempDir(), "c.sock"), func() (any, error) { <-release; return nil, nil })
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := stats(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestDefaultPathAndList(t *testing.T) {
	private(t)
	path := start(t, "", func() (any, error) { return 1, nil })
	if path != Path(os.Getpid()) {
		t.Errorf("path %s, want %s", path, Path(os.Getpid()))
	}
	stale := leaveSocket(t, Path(1<<22+1)) // pids are below 2^22
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, p := range all {
		if p.PID == os.Getpid() {
			found = p.Path == path && strings.Contains(p.Command, "test") && time.Since(p.Started) < time.Minute
		}
		if p.Path == stale {
			t.Errorf("an abandoned socket is listed: %+v", p)
		}
	}
	if !found {
		t.Errorf("this process is not listed: %+v", all)
	}
	if _, err := os.Lstat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the abandoned socket is still there: %v", err)
	}
}

func TestListWithoutDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root's directory is fixed")
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(t.TempDir(), "none"))
	if all, err := List(); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", all, err)
	}
}

// leaveSocket makes a socket that nobody listens on, as a killed process does.
func leaveSocket(t *testing.T, path string) string {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := leaveSocket(t, filepath.Join(t.TempDir(), "c.sock"))
	start(t, path, func() (any, error) { return 1, nil })
	if err := stats(t.Context(), path); err != nil {
		t.Error(err)
	}
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	used := start(t, filepath.Join(dir, "used.sock"), func() (any, error) { return 1, nil })
	for path, want := range map[string]string{
		file: "is not a socket",
		used: "is in use",
		filepath.Join(dir, strings.Repeat("x", 200)): "longer than",
		filepath.Join(dir, "none", "c.sock"):         "no such file",
	} {
		if _, err := Listen(Config{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

func TestGetErrors(t *testing.T) {
	dir := t.TempDir()
	stale := leaveSocket(t, filepath.Join(dir, "stale.sock"))
	if err := stats(t.Context(), stale); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("abandoned socket: %v", err)
	}
	err := stats(t.Context(), filepath.Join(dir, "none.sock"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "no process") {
		t.Errorf("no socket: %v", err)
	}
}

func TestDirectoryOfOthersIsRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if err := makeDir(open); err == nil || !strings.Contains(err.Error(), "by others") {
		t.Errorf("open directory: %v", err)
	}
	if err := makeDir(link); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("link: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory that belongs to another user")
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skipf("no user to give a directory to: %v", err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	if err := os.Chown(foreign, uid, -1); err != nil {
		t.Fatal(err)
	}
	if err := makeDir(foreign); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("directory of another user: %v", err)
	}
}
