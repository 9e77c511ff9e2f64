package afxdp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/netlab"
)

// transferable are options for an interface that is handed over.
var transferable = Options{Transferable: true}

// offer hands a rig's interface to this same process, as another one would get it.
func (r *rig) offer() *Interface {
	r.t.Helper()
	h, err := r.iface.Offer()
	if err != nil {
		r.t.Fatal(err)
	}
	defer h.Close()
	body, err := json.Marshal(h)
	if err != nil {
		r.t.Fatal(err)
	}
	other := &Handover{Files: h.Files}
	if err := json.Unmarshal(body, other); err != nil {
		r.t.Fatal(err)
	}
	i, err := Adopt(other)
	if err != nil {
		r.t.Fatal(err)
	}
	return i
}

// TestHandOver hands a queue over in the middle of traffic: packets wait in the RX ring, in the TX ring and in frames that are held. Each
// arrives once, at one side, and both sides can say where every frame is.
func TestHandOver(t *testing.T) {
	for _, c := range []struct {
		name string
		opt  Options
	}{
		{"pages", transferable},
		{"busy polling", Options{Transferable: true, BusyPoll: 50 * time.Microsecond}},
		{"small", Options{Transferable: true, Frames: 192, RxRing: 64, TxRing: 64}},
		{"larger frames", Options{Transferable: true, FrameSize: 4096}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, netlab.Config{}, c.opt)
			old := r.queue()
			young := r.offer()
			defer young.Close()
			next := young.Queues()[0]
			if next.Receive(r.batch[:]) != 0 || next.Flush() != nil || next.Recycle() != 0 || next.Transmit([]frame.Desc{{Len: 60}}) != 0 {
				t.Error("an adopted queue works before it is taken up")
			}
			var held []frame.Desc
			for n := range uint32(20) { // of which the old process keeps some, with what is in them
				r.peer.send(r.toStack(n, 100))
			}
			got := r.receive(old, 20, func(n uint32, d frame.Desc) bool {
				if n%2 == 0 {
					held = append(held, d)
				}
				return n%2 == 0
			})
			if got != 20 || len(held) != 10 {
				t.Fatalf("%d received, %d held", got, len(held))
			}
			for n := range uint32(5) {
				r.transmit(old, 100+n, 200) // not flushed: they are in the TX ring, or queued for it
			}
			transfer := old.(Transfer)
			if err := transfer.Prepare(); err != nil {
				t.Fatal(err)
			}
			state, err := transfer.Suspend()
			if err != nil {
				t.Fatal(err)
			}
			for n := range uint32(20) {
				r.peer.send(r.toStack(20+n, 100)) // nobody serves the queue
			}
			if err := next.(Transfer).TakeUp(state); err != nil {
				t.Fatal(err)
			}
			if got := r.receive(next, 20, func(n uint32, d frame.Desc) bool {
				if n < 20 {
					t.Errorf("packet %d came to both", n)
				}
				return false
			}); got != 20 {
				t.Errorf("%d packets that came meanwhile were received, of 20", got)
			}
			if err := next.Flush(); err != nil {
				t.Error(err)
			}
			if got := r.peer.receive(5); len(got) != 5 {
				t.Errorf("%d of 5 packets in the TX ring were sent", len(got))
			}
			if err := transfer.Resume(); !errors.Is(err, ErrTaken) {
				t.Errorf("taken back while another has it: %v", err)
			}
			if err := transfer.LetGo(); err != nil {
				t.Fatal(err)
			}
			if a := old.Pool().Account(); a.Held != len(held) || a.Free != old.Pool().Size()-len(held) {
				t.Errorf("the old pool has %+v, and %d frames are held", a, len(held))
			}
			var all []frame.Index // whatever the other does to its memory
			for f := next.Pool().Alloc(); f != frame.None; f = next.Pool().Alloc() {
				clear(next.Pool().Chunk(f))
				all = append(all, f)
			}
			for _, f := range all {
				next.Pool().Release(f)
			}
			for k, d := range held {
				if n, ok := number(old.Pool().Bytes(d)); !ok || n != uint32(2*k) {
					t.Errorf("held packet %d is packet %d now, %t", 2*k, n, ok)
				}
				old.Pool().Release(d.Frame)
			}
			if err := old.Pool().Check(); err != nil {
				t.Error(err)
			}
			start := time.Now()
			if err := old.Wait(20 * time.Millisecond); err != nil || time.Since(start) < 15*time.Millisecond {
				t.Errorf("Wait of a queue that was let go: %v after %v", err, time.Since(start))
			}
			if err := next.Pool().Check(); err != nil {
				t.Error(err)
			}
			if err := r.iface.Close(); err != nil { // takes nothing away from the other
				t.Error(err)
			}
			r.iface = nil
			if attachedProgram(t, r.lab.Stack) == 0 {
				t.Error("the program is detached")
			}
			if err := young.Close(); err != nil {
				t.Error(err)
			}
			clean(t, r.lab.Stack)
		})
	}
}

// TestTakeBack has the other process die before it used anything: the old one goes on as if nothing had been.
func TestTakeBack(t *testing.T) {
	r := newRig(t, netlab.Config{}, transferable)
	q := r.queue()
	for round := range uint32(3) {
		young := r.offer()
		transfer := q.(Transfer)
		if err := transfer.Prepare(); err != nil {
			t.Fatal(err)
		}
		if _, err := transfer.Suspend(); err != nil {
			t.Fatal(err)
		}
		for n := range uint32(10) {
			r.peer.send(r.toStack(100*round+n, 100))
		}
		if err := young.Close(); err != nil {
			t.Fatal(err)
		}
		if q.Receive(r.batch[:]) != 0 {
			t.Error("a suspended queue receives")
		}
		if err := transfer.Resume(); err != nil {
			t.Fatal(err)
		}
		if got := r.receive(q, 10, func(n uint32, _ frame.Desc) bool {
			if n/100 != round {
				t.Errorf("packet %d in round %d", n, round)
			}
			return false
		}); got != 10 {
			t.Errorf("round %d: %d packets of 10 after the queue was taken back", round, got)
		}
		r.transmit(q, 1, 100)
		if err := q.Flush(); err != nil || len(r.peer.receive(1)) != 1 {
			t.Errorf("round %d: nothing is sent (%v)", round, err)
		}
	}
	r.allBack(q)
}

// TestAdoptInAnotherProcess exports an interface to a process without any privilege, which receives and sends on it, and owns further
// addresses by the program's maps. What is attached stays so when the first process has closed everything, until the other one ends.
func TestAdoptInAnotherProcess(t *testing.T) {
	r := newRig(t, netlab.Config{Queues: 2}, transferable)
	if !r.lab.Veth() {
		t.Skip("the card's hash chooses the queue")
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "theirs"), os.NewFile(uintptr(fds[1]), "ours")
	c, err := net.FileConn(ours)
	if err := errors.Join(err, ours.Close()); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "AFXDP_TEST_ADOPT=1")
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.lab.Stack.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	theirs.Close()
	h, err := r.iface.Export()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Send(c.(*net.UnixConn)); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if err := r.iface.Close(); err != nil {
		t.Fatal(err)
	}
	r.iface = nil
	said := bufio.NewReader(out)
	if line, _ := said.ReadString('\n'); line != "adopted\n" {
		t.Fatalf("the process says %q", line)
	}
	for n := range uint32(8) {
		r.peer.send(r.toStack(n, 100))
	}
	if line, err := said.ReadString('\n'); err != nil || strings.TrimSpace(line) != "received 8" {
		t.Errorf("the process says %q, %v", line, err)
	}
	if got := r.peer.receive(8); len(got) != 8 {
		t.Errorf("%d packets of 8 were sent", len(got))
	}
	if attachedProgram(t, r.lab.Stack) == 0 {
		t.Error("the program is detached")
	}
	c.Close() // and the process ends
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process says %q, %v", rest, err)
	}
	for end := time.Now().Add(time.Second); attachedProgram(t, r.lab.Stack) != 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	clean(t, r.lab.Stack)
}

// adoptee is the other process of TestAdoptInAnotherProcess.
func adoptee() int {
	fail := func(err error) int {
		fmt.Println(err)
		return 1
	}
	f := os.NewFile(3, "from the test")
	c, err := net.FileConn(f)
	if err != nil {
		return fail(err)
	}
	h, err := ReceiveHandover(c.(*net.UnixConn))
	if err != nil {
		return fail(err)
	}
	i, err := Adopt(h)
	if err != nil {
		return fail(err)
	}
	h.Close()
	if _, err := i.Program().Counters(); err != nil {
		return fail(err)
	}
	if err := i.Program().AddAddress(sink); err != nil {
		return fail(err)
	}
	fmt.Println("adopted")
	received := 0
	var batch [64]frame.Desc
	for end := time.Now().Add(5 * time.Second); received < 8 && time.Now().Before(end); {
		for _, q := range i.Queues() {
			n := q.Receive(batch[:])
			for _, d := range batch[:n] {
				seq, ok := number(q.Pool().Bytes(d))
				if ok {
					received++
					copy(q.Pool().Bytes(d)[6:], q.Pool().Bytes(d)[:6])
					udpFrame(q.Pool().Bytes(d), i.Info().MAC, i.Info().MAC, sink, sink, seq, int(d.Len))
					copy(q.Pool().Bytes(d), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
					q.Transmit([]frame.Desc{d})
				}
				q.Pool().Release(d.Frame)
			}
			if err := q.Flush(); err != nil {
				return fail(err)
			}
			q.Recycle()
		}
		_ = i.Queues()[0].Wait(time.Millisecond)
	}
	fmt.Println("received", received)
	_, _ = c.Read(make([]byte, 1))
	for _, q := range i.Queues() {
		if err := q.Pool().Check(); err != nil {
			return fail(err)
		}
	}
	if err := i.Close(); err != nil {
		return fail(err)
	}
	return 0
}

func TestHandOverErrors(t *testing.T) {
	r := newRig(t, netlab.Config{}, Options{})
	if _, err := r.iface.Offer(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "Transferable") {
		t.Errorf("private memory: %v", err)
	}
	r.close()
	r.open(transferable)
	h, err := r.iface.Offer()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	before := openFiles(t)
	for _, c := range []struct {
		name   string
		change func(*Handover)
	}{
		{"another version", func(h *Handover) { h.Format++ }},
		{"no files", func(h *Handover) { h.Files = nil }},
		{"a file less", func(h *Handover) { h.Files = h.Files[1:] }},
		{"files in another order", func(h *Handover) {
			n := len(h.Files)
			h.Files = append(append([]*os.File{}, h.Files[:n-2]...), h.Files[n-1], h.Files[n-2])
		}},
		{"no program", func(h *Handover) { h.Program = nil }},
		{"another version's maps", func(h *Handover) {
			p := *h.Program
			p.Maps = append([]string{"flows"}, p.Maps[1:]...)
			h.Program = &p
		}},
		{"no queues", func(h *Handover) { h.Queues = nil }},
		{"more frames than memory", func(h *Handover) { h.Options.Frames *= 2 }},
		{"larger rings", func(h *Handover) { h.Options.RxRing, h.Options.FillRing = 4096, 8192 }},
		{"options that cannot be", func(h *Handover) { h.Options.FrameSize = 3000 }},
		{"a state of other frames", func(h *Handover) {
			h.Queues = []QueueHandover{h.Queues[0]}
			h.Queues[0].State = &QueueState{Fill: []byte{1}, TX: []byte{1}}
		}},
	} {
		bad := *h
		c.change(&bad)
		if i, err := Adopt(&bad); err == nil {
			t.Errorf("%s: adopted", c.name)
			i.Close()
		}
		if after := openFiles(t); after != before {
			t.Errorf("%s: %d files are open, %d before", c.name, after, before)
			before = after
		}
	}
}
