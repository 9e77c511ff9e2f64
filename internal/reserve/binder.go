package reserve

import (
	"fmt"
	"net/netip"
	"runtime"

	"github.com/vishvananda/netns"
)

// Binder reserves ports of one network namespace for callers on whatever thread. It keeps a thread there.
type Binder struct {
	calls chan func()
}

// NewBinder returns a Binder for the calling thread's network namespace.
func NewBinder() (*Binder, error) {
	here, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("reserve: the network namespace of this thread: %w", err)
	}
	defer here.Close()
	b := &Binder{calls: make(chan func())}
	started := make(chan error, 1)
	go b.run(here, started)
	return b, <-started
}

func (b *Binder) run(in netns.NsHandle, started chan error) {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err == nil {
		entered := !own.Equal(in)
		_ = own.Close()
		if entered { // which needs CAP_SYS_ADMIN; the thread ends with the goroutine then
			err = netns.Set(in)
		} else {
			defer runtime.UnlockOSThread()
		}
	}
	if started <- err; err != nil {
		return
	}
	for call := range b.calls {
		call()
	}
}

// do runs f on the thread.
func (b *Binder) do(f func()) {
	done := make(chan struct{})
	b.calls <- func() {
		defer close(done)
		f()
	}
	<-done
}

// Bind is the function Bind in the Binder's namespace.
func (b *Binder) Bind(protocol uint8, a netip.Addr, port uint16) (p *Port, err error) {
	b.do(func() { p, err = Bind(protocol, a, port) })
	return p, err
}

// BindSome is the function BindSome in the Binder's namespace.
func (b *Binder) BindSome(protocol uint8, n int, next func(i int) (port uint16, ok bool)) (ports []*Port, err error) {
	b.do(func() { ports, err = BindSome(protocol, n, next) })
	return ports, err
}

// Close gives the thread back. Ports stay reserved.
func (b *Binder) Close() { close(b.calls) }
