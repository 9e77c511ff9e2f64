package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/fdpass"
)

// Broker answers on a socket.
type Broker struct {
	policy   *policy
	listener *net.UnixListener
	log      *slog.Logger
	slots    chan struct{} // one for each connection that is being served

	mu    sync.Mutex
	lent  map[string]int // PID of the client by interface
	conns map[*net.UnixConn]bool
	end   bool
}

const (
	maxConns    = 64
	requestTime = 5 * time.Second // for a request to arrive
)

// Listen makes the socket.
func Listen(cfg Config, log *slog.Logger) (*Broker, error) {
	p, err := newPolicy(cfg)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(p.Socket), 0o755); err != nil {
		return nil, fmt.Errorf("broker: the socket's directory: %w", err)
	}
	if err := vacate(p.Socket); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := os.Chmod(p.Socket, 0o666); err != nil { // who may ask is decided by who it is
		return nil, errors.Join(fmt.Errorf("broker: %w", err), l.Close())
	}
	return &Broker{
		policy: p, listener: l, log: log, slots: make(chan struct{}, maxConns), lent: map[string]int{}, conns: map[*net.UnixConn]bool{},
	}, nil
}

// vacate removes a socket that another broker has left behind.
func vacate(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if st.Mode().Type() != os.ModeSocket {
		return fmt.Errorf("broker: %s is not a socket: remove it, or choose another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("broker: %s is in use: another broker runs", path)
	}
	return os.Remove(path)
}

// Run answers until ctx is done, then closes what it has of the interfaces: clients go on.
func (b *Broker) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.end = true
		_ = b.listener.Close()
		for c := range b.conns {
			_ = c.Close()
		}
	})
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := b.listener.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("broker: %w", err)
		}
		select {
		case b.slots <- struct{}{}:
			all.Go(func() { b.serve(c); <-b.slots })
		default:
			b.log.Warn("too many connections: one is closed", "most", maxConns)
			_ = c.Close()
		}
	}
}

// track keeps a connection for the end; false if it has come.
func (b *Broker) track(c *net.UnixConn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = true
	return !b.end
}

func (b *Broker) untrack(c *net.UnixConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	_ = c.Close()
}

// serve answers one client, and waits for its end.
func (b *Broker) serve(c *net.UnixConn) {
	if !b.track(c) {
		return
	}
	defer b.untrack(c)
	who, err := peerOf(c)
	if err == nil {
		err = b.policy.admits(who, uint32(os.Geteuid()))
	}
	if err != nil {
		b.log.Warn("refused", "pid", who.pid, "because", err)
		b.refuse(c, err)
		return
	}
	_ = c.SetDeadline(time.Now().Add(requestTime))
	body, files, err := fdpass.Receive(c, requestLimits)
	if err != nil {
		b.log.Warn("refused", "pid", who.pid, "because", err)
		return
	}
	fdpass.CloseAll(files)
	r, err := parse(body)
	if err != nil {
		b.log.Warn("refused", "pid", who.pid, "because", err)
		b.refuse(c, err)
		return
	}
	if err := b.lend(c, r, who); err != nil {
		b.log.Warn("refused", "pid", who.pid, "interface", r.Interface, "because", err)
		b.refuse(c, err)
		return
	}
	b.log.Info("given back", "pid", who.pid, "interface", r.Interface)
}

func (b *Broker) refuse(c *net.UnixConn, err error) {
	_ = c.SetDeadline(time.Now().Add(requestTime))
	body, _ := json.Marshal(answer{Error: err.Error()}) // a string is always JSON
	_ = fdpass.Send(c, body, nil)
}

// lend opens an interface for a client, and closes it when the client has ended. An error is one that the client is to be told.
func (b *Broker) lend(c *net.UnixConn, r *Request, who peer) error {
	info, err := afxdp.Discover(r.Interface)
	if err == nil {
		r.queues = info.RxQueues
	}
	if err := b.policy.check(r); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := b.take(r.Interface, who.pid); err != nil {
		return err
	}
	defer b.giveBack(r.Interface)
	i, err := afxdp.Open(r.Interface, r.Options, r.Steer)
	if err != nil {
		return err
	}
	defer func() {
		if err := i.Close(); err != nil {
			b.log.Error("the interface was not closed well", "interface", r.Interface, "error", err)
		}
	}()
	h, err := i.Export()
	if err != nil {
		return err
	}
	defer h.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if err := fdpass.Send(c, []byte("{}"), nil); err != nil {
		return err
	}
	if err := h.Send(c); err != nil {
		b.log.Warn("the client is gone", "pid", who.pid, "error", err)
		return nil
	}
	h.Close()
	b.log.Info("given", "pid", who.pid, "user", who.uid, "interface", r.Interface,
		"addresses", fmt.Sprint(r.Addresses), "device", i.Describe())
	_ = c.SetDeadline(time.Time{})
	if r.Steer.Mode == bpf.SharedAddress {
		b.lendPorts(c, who)
		return nil
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(c, 1)) // a client says nothing more: whatever it is, it is the end
	return nil
}

// take makes an interface one client's.
func (b *Broker) take(iface string, pid int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if other, ok := b.lent[iface]; ok {
		return fmt.Errorf("%s is process %d's", iface, other)
	}
	b.lent[iface] = pid
	return nil
}

func (b *Broker) giveBack(iface string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.lent, iface)
}

// peer is who is at the other end of a connection.
type peer struct {
	pid  int
	uid  uint32
	gids []uint32
}

func peerOf(c *net.UnixConn) (p peer, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return p, err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p = peer{pid: int(cred.Pid), uid: cred.Uid, gids: append(peerGroups(fd), cred.Gid)}
	})
	return p, errors.Join(err, inner)
}

// peerGroups returns the supplementary groups that the peer had when it connected (SO_PEERGROUPS, Linux 4.13). Without an answer it has
// none.
func peerGroups(fd uintptr) []uint32 {
	groups := make([]uint32, 256)
	size := uint32(len(groups) * 4)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
		uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return nil
	}
	return groups[:min(int(size/4), len(groups))]
}
