package privileges

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childVariable has what a child is to do: the name of one of children, then its argument.
const childVariable = "XDPSTACK_PRIVILEGES_TEST"

// children are what this program does in a process of its own: privileges come back no more.
var children = map[string]func(arg string) (any, error){"attempts": attempts, "threads": threads, "works": works}

func TestMain(m *testing.M) {
	name, arg, _ := bytes.Cut([]byte(os.Getenv(childVariable)), []byte(":"))
	if do, ok := children[string(name)]; ok {
		v, err := do(string(arg))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child runs one of children with the privileges that attr says, and puts what it tells into v.
func child(t *testing.T, do string, attr *syscall.SysProcAttr, v any) error {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root has privileges to give up")
	}
	cmd := exec.Command("/proc/self/exe") // the directory of the program is closed to other users
	cmd.Env = append(os.Environ(), childVariable+"="+do)
	cmd.SysProcAttr = attr
	cmd.Dir = "/"
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(complaint.Bytes()))
	}
	if err := json.Unmarshal(out, v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return nil
}

// nobodyWith starts a process as nobody with capabilities.
func nobodyWith(caps ...uintptr) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, AmbientCaps: caps}
}

// status is what the kernel tells of a thread.
type status map[string]string

var netCaps = []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF}

// threads starts threads of several kinds before and after the drop, and returns the status of each.
func threads(user string) (any, error) {
	stop := make(chan struct{})
	defer close(stop)
	const each = 4
	lockedThreads(each, stop)
	if _, err := Drop(Config{User: user}); err != nil {
		return nil, err
	}
	lockedThreads(each, stop)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var all []status
	for _, task := range tasks {
		b, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			return nil, err
		}
		s := status{}
		for line := range bytes.Lines(b) {
			key, value, _ := bytes.Cut(line, []byte(":"))
			s[string(key)] = string(bytes.TrimSpace(value))
		}
		all = append(all, s)
	}
	if len(all) < 2*each {
		return nil, fmt.Errorf("only %d threads", len(all))
	}
	return all, nil
}

// lockedThreads starts goroutines on threads of their own: half of them spin, as shards do, half sleep in the kernel.
func lockedThreads(n int, stop chan struct{}) {
	ready := make(chan struct{})
	for i := range n {
		go func() {
			lockThread()
			ready <- struct{}{}
			for i%2 == 0 {
				select {
				case <-stop:
					return
				default:
				}
			}
			_ = unix.Nanosleep(&unix.Timespec{Sec: 5}, nil)
		}()
	}
	for range n {
		<-ready
	}
}

func TestEveryThread(t *testing.T) {
	const none = "0000000000000000"
	for _, c := range []struct {
		name, user string
		attr       *syscall.SysProcAttr
		uid, gid   int
		bounded    bool
		groups     string
	}{
		{"root", "", &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{4, 27}}}, 65534, 65534, true, ""},
		{"root to a number", "4711:4712", nil, 4711, 4712, true, ""},
		{"nobody with three capabilities", "", nobodyWith(netCaps...), 65534, 65534, false, ""},
		{"nobody with CAP_SETPCAP too", "", nobodyWith(append(slices.Clone(netCaps), unix.CAP_SETPCAP)...), 65534, 65534, true, ""},
		{"who may change the user", "4711:4712", nobodyWith(append(slices.Clone(netCaps), unix.CAP_SETUID, unix.CAP_SETGID)...), 4711, 4712, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var all []status
			if err := child(t, "threads:"+c.user, c.attr, &all); err != nil {
				t.Fatal(err)
			}
			four := func(n int) string {
				s := strconv.Itoa(n)
				return s + "\t" + s + "\t" + s + "\t" + s
			}
			want := status{"Uid": four(c.uid), "Gid": four(c.gid), "Groups": c.groups, "CapInh": none, "CapPrm": none, "CapEff": none,
				"CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}
			if c.bounded {
				want["CapBnd"] = none
			}
			for _, s := range all {
				for key, w := range want {
					if s[key] != w {
						t.Errorf("thread %s: %s is %q, want %q", s["Pid"], key, s[key], w)
					}
				}
			}
		})
	}
}

func TestDropErrors(t *testing.T) {
	for user, want := range map[string]string{
		"daemon":           "CAP_SETUID and CAP_SETGID are missing",
		"no-such-user":     "unknown user no-such-user",
		"987654321":        "its group is not",
		"nobody:no-such-g": "unknown group no-such-g",
		":7":               "want a name or a number",
	} {
		var v any
		if err := child(t, "threads:"+user, nobodyWith(netCaps...), &v); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%s: %v, want %q", user, err, want)
		}
	}
	if err := (Config{Seccomp: "loud"}).Validate(); err == nil {
		t.Error("a mode that is not there is taken")
	}
}
