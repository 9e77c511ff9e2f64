package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/control"
	"github.com/xdpstack/xdpstack/internal/fdpass"
	"github.com/xdpstack/xdpstack/internal/filter"
	"github.com/xdpstack/xdpstack/internal/web"
	"github.com/xdpstack/xdpstack/stack"
)

// The process that is replaced. What it says to the one that replaces it, and hears, goes over a connection of its control socket:
//
//	new process (takeover.go)                              old process
//	────────────────────────────────────────────────────────────────────────────────
//	GET /handover                         ───────────────►
//	opens the stack on what it is given   ◄──── offer ─────  description, files
//	opens ports, sockets, everything
//	                                      ──── prepared ──►  its filter takes no changes any more
//	keeps the filter                      ◄──── filter ────  its shards stop
//	its shards receive and send           ◄──── state ─────
//	                                      ──── running ───►  goes on with its connections through the new process, then ends
//
// Whatever fails before running, and whoever ends, the old process goes on as before. The new one is started by who asks for the upgrade
// (successor.go): the old one may start no program, once it has given up its privileges.

// TakeOver is the environment variable that has a process take over from another one: the path of that one's control socket.
const TakeOver = "XDPSTACK_TAKE_OVER"

// Upgrade says how a process is to be replaced.
type Upgrade struct {
	// Drain is how many seconds open connections may take to end by themselves; default those of DefaultUpgradeDrain.
	Drain float64 `json:"drain_seconds,omitempty"`
}

// Plan says what is to be started to take over from a process.
type Plan struct {
	PID    int      `json:"pid"`    // of the process that is replaced
	Binary string   `json:"binary"` // at the path that it was started from
	Args   []string `json:"args"`   // its command line
	Socket string   `json:"socket"` // its control socket, which is to have the same name afterwards

	// What whoever may not look into the process has to know of it.
	Network     uint64   `json:"network,omitempty"`     // number of its network namespace
	Environment []string `json:"environment,omitempty"` // what a service manager wants to be told
}

// Upgraded says what came of it.
type Upgraded struct {
	Old     int     `json:"old_pid"`
	New     int     `json:"new_pid"`
	Stopped float64 `json:"stopped_seconds"` // for which nobody received: packets waited
	Control string  `json:"control"`         // the new process's control socket
}

// DefaultUpgradeDrain is how long the old process waits for its connections to end by themselves. Those that are left are then drained
// as at any end of a process.
const DefaultUpgradeDrain = 5 * time.Minute

// Bounds of the steps.
const (
	prepareTime = 30 * time.Second // for the new process to open everything
	takeUpTime  = 5 * time.Second  // for it to begin, once it has the state
	maxStep     = 64 << 20         // bytes of a message: the state has two bits for each frame
)

// step is a message between the two.
type step struct {
	PID     int                  `json:"pid"`
	Failed  string               `json:"failed,omitempty"`
	Filter  *filter.Carried      `json:"filter,omitempty"`
	State   *stack.HandoverState `json:"state,omitempty"`
	Control string               `json:"control,omitempty"` // path of the new process's socket
}

func send(c *net.UnixConn, s step) error {
	s.PID = os.Getpid()
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return fdpass.Send(c, body, nil)
}

func receive(c *net.UnixConn, within time.Duration) (s step, err error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	body, _, err := fdpass.Receive(c, fdpass.Limits{Body: maxStep})
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, err
	}
	if s.Failed != "" {
		return s, errors.New(s.Failed)
	}
	return s, nil
}

// upgrades is what a process knows of those that replace it.
type upgrades struct {
	binary string      // what it was started from
	result chan result // has room for that of the upgrade that is under way; nil if there is none
	until  time.Time   // when it is given up
}

// result is what an upgrade came to.
type result struct {
	Upgraded
	err error
}

// upgradeTime bounds an upgrade.
const upgradeTime = prepareTime + takeUpTime + 5*time.Second

// errBrokered is why a process does not give away what a broker has opened for it: the broker would take its end for that of the
// interface, and give it to the next who asks.
var errBrokered = errors.New("the interface is a broker's, which lends it to one process at a time: stop this one and start the other")

// answerPlan is POST /upgrade: somebody is about to start a process that takes over, and then waits for what comes of it.
func (d *Daemon) answerPlan(r *http.Request) (any, error) {
	var u Upgrade
	if err := json.NewDecoder(r.Body).Decode(&u); err != nil && r.ContentLength != 0 {
		return nil, control.BadRequest{Err: err}
	}
	if u.Drain < 0 {
		return nil, control.BadRequest{Err: fmt.Errorf("a drain of %v seconds", u.Drain)}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.brokered:
		return nil, errBrokered
	case d.retired.Load():
		return nil, errors.New("another process has taken over from this one already")
	case d.upgrades.result != nil && time.Now().Before(d.upgrades.until):
		return nil, errors.New("another upgrade is under way")
	}
	d.upgrades.result, d.upgrades.until = make(chan result, 1), time.Now().Add(upgradeTime)
	if u.Drain > 0 {
		d.upgradeDrain = time.Duration(u.Drain * float64(time.Second))
	}
	plan := Plan{PID: os.Getpid(), Binary: d.upgrades.binary, Args: os.Args, Socket: d.Control.Path(), Network: networkNamespace("self")}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC"} {
		if v := os.Getenv(name); v != "" {
			plan.Environment = append(plan.Environment, name+"="+v)
		}
	}
	return plan, nil
}

// answerUpgrade is GET /upgrade: it waits for what comes of the one that is under way.
func (d *Daemon) answerUpgrade(r *http.Request) (any, error) {
	d.mu.Lock()
	results, left := d.upgrades.result, time.Until(d.upgrades.until)
	d.mu.Unlock()
	if results == nil {
		return nil, control.BadRequest{Err: errors.New("no upgrade is under way")}
	}
	err := errors.New("the new process did not ask for the interface in time: is it an xdpstack? This one goes on")
	var got result
	select {
	case got = <-results:
		err = got.err
	case <-r.Context().Done():
		err = r.Context().Err()
	case <-time.After(left):
	}
	d.mu.Lock()
	if d.upgrades.result == results {
		d.upgrades.result = nil
	}
	d.mu.Unlock()
	return got.Upgraded, err
}

// answerCancel is POST /upgrade/cancel: nothing could be started.
func (d *Daemon) answerCancel(*http.Request) (any, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.upgrades.result = nil
	return struct{}{}, nil
}

// answerHandover is GET /handover: another process takes over.
func (d *Daemon) answerHandover(c *net.UnixConn) {
	u, err := d.handOver(c)
	if err != nil {
		d.Log.Error("upgrade: this process goes on", "error", err)
	} else {
		d.Tell(fmt.Sprintf("MAINPID=%d", u.New)) // before who asked for it is told: a service manager may be waiting for that one
	}
	d.mu.Lock()
	if d.upgrades.result != nil {
		select {
		case d.upgrades.result <- result{u, err}:
		default: // nobody waits for the one before
		}
	}
	d.mu.Unlock()
	if err == nil {
		go d.retire(u)
	}
}

// handOver gives the interface to the process at the other end.
func (d *Daemon) handOver(c *net.UnixConn) (u Upgraded, err error) {
	if d.brokered {
		_ = send(c, step{Failed: errBrokered.Error()})
		return u, errBrokered
	}
	h, err := d.Stack.Offer()
	if err != nil {
		_ = send(c, step{Failed: err.Error()})
		return u, err
	}
	defer h.Close()
	if err := h.Send(c); err != nil {
		d.Stack.Withdraw()
		return u, err
	}
	prepared, err := receive(c, prepareTime)
	if err != nil {
		d.Stack.Withdraw()
		return u, fmt.Errorf("the new process could not prepare itself: %w", err)
	}
	u = Upgraded{Old: os.Getpid(), New: prepared.PID, Control: prepared.Control}
	defer func() {
		if err != nil {
			d.filter.Return()
		}
	}()
	carried, err := d.filter.Leave()
	if err == nil {
		err = send(c, step{Filter: &carried})
	}
	if err != nil {
		d.Stack.Withdraw()
		return u, fmt.Errorf("the new process was ready and did not begin: %w", err)
	}
	begun := time.Now()
	state, err := d.Stack.Suspend()
	if err != nil {
		d.Stack.Withdraw()
		return u, err
	}
	err = send(c, step{State: state})
	if err == nil {
		_, err = receive(c, takeUpTime)
	}
	if err != nil {
		return u, d.takeBack(c, err)
	}
	u.Stopped = time.Since(begun).Seconds()
	return u, d.Stack.LetGo()
}

// takeBack goes on after the new process has failed to, which must not come back to life meanwhile. One whose end of the connection is
// closed is gone, or will not begin.
func (d *Daemon) takeBack(c *net.UnixConn, cause error) error {
	gone := errors.Is(cause, io.EOF) || errors.Is(cause, unix.ECONNRESET) || errors.Is(cause, unix.EPIPE)
	cause = fmt.Errorf("the new process had everything and did not begin: %w", cause)
	if err := kill(c); err != nil && !gone {
		cause = errors.Join(cause, err)
	}
	if err := d.Stack.Resume(); err != nil {
		err = fmt.Errorf("%w; and it cannot be undone: %w", cause, err)
		d.Fail(err)
		return err
	}
	d.Stack.Withdraw()
	return cause
}

// kill ends the process at the other end, and waits until it is gone.
func kill(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	ctl := raw.Control(func(fd uintptr) { peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(ctl, err); err != nil {
		return err
	}
	if peer.Pid <= 0 || int(peer.Pid) == os.Getpid() {
		return nil
	}
	fd, err := unix.PidfdOpen(int(peer.Pid), 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
	return err
}

// retire waits until the connections that this process still has have ended by themselves, and then has it end.
func (d *Daemon) retire(u Upgraded) {
	successor := u.New
	d.setState(web.Draining, fmt.Sprintf("process %d has taken over", successor))
	if strings.HasPrefix(u.Control, d.Control.Path()+".") { // it gets this one's name
		d.Control.Leave()
	}
	if d.web != nil {
		d.web.End()
	}
	d.retired.Store(true)
	d.mu.Lock()
	patience := d.upgradeDrain
	d.mu.Unlock()
	if patience == 0 {
		patience = DefaultUpgradeDrain
	}
	d.Log.Info("upgraded: the new process accepts, this one ends with its last connection", "pid", successor, "within", patience)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		left, err := d.left()
		if err != nil || left == 0 && !d.Stack.Predecessor() {
			break
		}
	}
	time.Sleep(lastWords)
	d.endNow()
}

// lastWords is how long TIME-WAIT is answered after the last connection, in case a peer sends its FIN again.
const lastWords = 500 * time.Millisecond

// left returns how many connections there are, half-open ones included.
func (d *Daemon) left() (n int, err error) {
	shards, err := d.Stack.Report()
	for i := range shards {
		n += shards[i].Connections + shards[i].HalfOpen
	}
	return n, err
}

// endNow has the process end, as if it had been asked to.
func (d *Daemon) endNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.stop.asked:
	default:
		close(d.stop.asked)
	}
}
