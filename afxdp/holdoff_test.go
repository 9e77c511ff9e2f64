package afxdp

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/internal/netlab"
)

// TestFullDeviceIsLeftAlone has the thread that empties veth's ring not run, as on a busy processor. Flush after Flush must not throw away
// what waits in the TX ring, a packet each, and all of that must arrive when the thread runs again.
func TestFullDeviceIsLeftAlone(t *testing.T) {
	const flushes = 200
	r := newRig(t, netlab.Config{Threaded: true, GRO: true}, Options{Mode: ModeCopy, KeepProcessor: true})
	if !r.lab.Veth() {
		t.Skip("no card of the lab drops what does not fit, as veth does")
	}
	q := r.queue()
	threads, err := r.lab.Kernel.ReceiveThreads()
	if err != nil || len(threads) != 1 {
		t.Fatalf("receive threads %v: %v", threads, err)
	}
	flush := func() {
		if err := q.Flush(); err != nil {
			t.Fatal(err)
		}
		q.Recycle()
	}
	release := outrun(t, threads[0])
	n := uint32(0)
	queue := func(packets int) {
		for range packets {
			if !r.transmit(q, n, 60) {
				t.Fatalf("no room for packet %d", n)
			}
			n++
		}
	}
	for q.Stats().KickEbusy == 0 && n < 10000 { // other processes may let the thread run now and then
		queue(64)
		flush()
	}
	queue(2 * flushes)
	before := q.Stats().KickEbusy
	if before == 0 {
		t.Fatalf("veth's ring took %d packets", n)
	}
	for range flushes {
		flush()
	}
	if lost := q.Stats().KickEbusy - before; lost > 10 {
		t.Errorf("%d packets lost by %d flushes to a device without room", lost, flushes)
	}
	release()
	for end := time.Now().Add(5 * time.Second); q.Stats().Completions < uint64(n) && time.Now().Before(end); {
		if err := q.Wait(time.Second); err != nil {
			t.Fatal(err)
		}
		flush()
	}
	lost := int(q.Stats().KickEbusy)
	if got := len(r.peer.receive(int(n) - lost)); got != int(n)-lost {
		t.Errorf("%d packets of %d arrived, and %d were counted as lost", got, n, lost)
	}
	r.allBack(q)
}

func TestHoldOff(t *testing.T) {
	var h holdOff
	pause := func(progress bool) (n int) {
		h.full(progress)
		for h.holds() {
			n++
		}
		return n
	}
	for i, c := range []struct {
		progress bool
		want     int
	}{{false, 1}, {false, 2}, {false, 4}, {false, 8}, {true, 1}, {false, 2}, {false, 4}, {false, 8}, {false, 16}, {false, 32}, {false, 64}, {false, 64}} {
		if got := pause(c.progress); got != c.want {
			t.Errorf("pause %d is %d flushes long, want %d", i, got, c.want)
		}
	}
	for _, c := range []struct {
		sleep time.Duration
		left  uint8
	}{{0, 64}, {holdOffTick - 1, 64}, {50 * time.Microsecond, 61}, {time.Millisecond, 0}, {-time.Second, 0}, {time.Hour, 0}} {
		h.full(false)
		if h.slept(c.sleep); h.left != c.left {
			t.Errorf("after a sleep of %v there are %d left, want %d", c.sleep, h.left, c.left)
		}
	}
	h.full(false)
	if h.empty(); h.holds() || pause(false) != 1 {
		t.Error("a pause goes on though all was sent")
	}
}

// outrun binds the calling thread and another, which only idle processors run from then on, to one processor, until release is called.
func outrun(t *testing.T, thread int) (release func()) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	set := func(policy uint32, threads *unix.CPUSet, own *unix.CPUSet) {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy}
		if err := unix.SchedSetAttr(thread, &attr, 0); err != nil {
			t.Error(err)
		}
		if err := unix.SchedSetaffinity(thread, threads); err != nil {
			t.Error(err)
		}
		if err := unix.SchedSetaffinity(0, own); err != nil {
			t.Error(err)
		}
	}
	set(unix.SCHED_IDLE, &one, &one)
	released := false
	release = func() {
		if !released {
			released = true
			set(unix.SCHED_NORMAL, &all, &all)
			runtime.UnlockOSThread()
		}
	}
	t.Cleanup(release)
	return release
}
