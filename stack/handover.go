package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/internal/fdpass"
	"github.com/xdpstack/xdpstack/tcp"
)

// Handover is a stack's interface on its way to another process, with what the stack there must have in common with the one here. It is a
// description and files.
type Handover struct {
	Format     int             `json:"format"`
	Address    string          `json:"address"`   // the stack's, with its network
	Addresses  []string        `json:"addresses"` // and others
	Secret     []byte          `json:"secret"`    // of initial numbers, timestamps and cookies
	FastOpen   [2][]byte       `json:"fastOpen"`  // keys
	IDs        [2]uint64       `json:"ids"`
	Generation int             `json:"generation"` // the old stack's
	Dialed     []byte          `json:"dialed"`     // the flows that it dialed before it kept to its lane, flowLen bytes each
	Device     *afxdp.Handover `json:"device"`
	Shared     *SharedHandover `json:"shared,omitempty"` // nil: its addresses are its own

	files []*os.File // the device's, a relay for each shard, ports
}

// parts returns the files of each kind.
func (h *Handover) parts() (device, relays, ports []*os.File) {
	n, shards := len(h.files), len(h.Device.Queues)
	if h.Shared != nil {
		n -= h.Shared.Dial + h.Shared.Ports
	}
	return h.files[:n-shards], h.files[n-shards : n], h.files[n:]
}

// HandoverState is what was not known before the shards stopped.
type HandoverState struct {
	Queues   []afxdp.QueueState `json:"queues"`
	HalfOpen []byte             `json:"halfOpen"` // the flows of handshakes that the old stack completes, flowLen bytes each
	Cookies  clock.Time         `json:"cookies"`  // when the last one was sent that may come back; 0: none is out
}

// handoverFormat is the version of all that the two processes say to each other, relays included.
const handoverFormat = 3

// maxHalfOpen bounds the handshakes that are told. A SYN that is sent again for one beyond that is answered anew, and may fail.
const maxHalfOpen = 1 << 16

// ErrHandover says that a stack cannot be handed over, or what was handed over cannot be used.
var ErrHandover = errors.New("stack: the interface cannot change hands so")

// handing is what a stack knows of its being handed over.
type handing struct {
	mu     sync.Mutex
	relays []*relay                  // to the process that gets the interface, by shard; nil: nobody does
	holds  []chan func(*Shard) error // what each shard that stands still is to do next
	// results are what came of it.
	results chan error
}

// Offer describes the stack's interface for another process, and prepares everything for its change of hands. The stack works on.
// Withdraw undoes it.
func (s *Stack) Offer() (*Handover, error) {
	iface := s.Interface()
	if iface == nil {
		return nil, fmt.Errorf("%w: the stack's devices are the caller's", ErrHandover)
	}
	s.handing.mu.Lock()
	defer s.handing.mu.Unlock()
	if s.handing.relays != nil {
		return nil, fmt.Errorf("%w: another process has it, or is about to", ErrHandover)
	}
	for _, sh := range s.shards {
		if err := sh.dev.(afxdp.Transfer).Prepare(); err != nil {
			return nil, err
		}
	}
	device, err := iface.Offer()
	if err != nil {
		return nil, err
	}
	h := &Handover{
		Format: handoverFormat, Address: s.address.String(), Secret: s.secret[:], IDs: s.shards[0].ids.key,
		Device: device, files: device.Files,
	}
	for _, r := range s.others.Ranges() {
		h.Addresses = append(h.Addresses, r.String())
	}
	s.mu.Lock()
	for i := range h.FastOpen {
		h.FastOpen[i] = append([]byte(nil), s.fastOpenKeys[i][:]...)
	}
	s.mu.Unlock()
	for range s.shards {
		if err := s.addRelay(h); err != nil {
			s.dropRelays()
			h.Close()
			return nil, err
		}
	}
	if s.shared != nil {
		var ports []*os.File
		if h.Shared, ports, err = s.shared.offer(); err != nil {
			s.dropRelays()
			h.Close()
			return nil, err
		}
		h.files = append(h.files, ports...)
	}
	s.keepLane()
	h.Generation = s.generation
	for _, sh := range s.shards {
		sh.call(func(sh *Shard) { h.Dialed = append(h.Dialed, sh.dialedFlows()...) })
	}
	return h, nil
}

func (s *Stack) addRelay(h *Handover) error {
	ours, theirs, err := newRelayPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	h.files = append(h.files, theirs)
	r, err := newRelay(ours)
	if err != nil {
		return err
	}
	s.handing.relays = append(s.handing.relays, r)
	return nil
}

func (s *Stack) dropRelays() {
	for _, r := range s.handing.relays {
		r.close()
	}
	s.handing.relays = nil
}

// Withdraw ends an Offer of which nothing came.
func (s *Stack) Withdraw() {
	s.handing.mu.Lock()
	defer s.handing.mu.Unlock()
	s.dropRelays()
	if s.shared != nil {
		s.shared.stay()
	}
	s.leaveLane()
}

// Suspend stops all shards between two of their turns and tells where everything is. Then comes Resume or LetGo, soon: packets wait in the
// receive rings meanwhile.
func (s *Stack) Suspend() (*HandoverState, error) {
	s.handing.mu.Lock()
	defer s.handing.mu.Unlock()
	state := &HandoverState{Queues: make([]afxdp.QueueState, len(s.shards))}
	flows, cookies := make([][]byte, len(s.shards)), make([]clock.Time, len(s.shards))
	results := make(chan error, len(s.shards))
	for i, sh := range s.shards {
		hold := make(chan func(*Shard) error)
		ok := sh.post(command{call: func(sh *Shard) {
			var err error
			state.Queues[i], err = sh.dev.(afxdp.Transfer).Suspend()
			flows[i], cookies[i] = sh.halfOpenFlows(), sh.lastCookie()
			results <- err
			next := <-hold
			results <- next(sh)
		}})
		if !ok {
			results <- errClosed
			continue
		}
		s.handing.holds = append(s.handing.holds, hold)
	}
	var all error
	for range s.shards {
		all = errors.Join(all, <-results)
	}
	for _, f := range flows {
		state.HalfOpen = append(state.HalfOpen, f...)
	}
	state.Cookies = slices.Max(cookies)
	state.HalfOpen = state.HalfOpen[:min(len(state.HalfOpen), flowLen*maxHalfOpen)]
	s.handing.results = results
	if all != nil {
		return nil, errors.Join(all, s.release(func(sh *Shard) error { return sh.dev.(afxdp.Transfer).Resume() }))
	}
	return state, nil
}

// release has the shards that stand still do something, and go on.
func (s *Stack) release(f func(*Shard) error) error {
	for _, hold := range s.handing.holds {
		hold <- f
	}
	var all error
	for range s.handing.holds {
		all = errors.Join(all, <-s.handing.results)
	}
	s.handing.holds = nil
	return all
}

// Resume goes on after Suspend, as if nothing had been. It fails if the other process has taken packets; the stack is of no use then.
func (s *Stack) Resume() error {
	s.handing.mu.Lock()
	defer s.handing.mu.Unlock()
	return s.release(func(sh *Shard) error { return sh.dev.(afxdp.Transfer).Resume() })
}

// LetGo goes on after Suspend without the interface, which the other process has: that gives this one what is of its connections, and sends
// what they have to say. Nothing new is accepted any more.
func (s *Stack) LetGo() error {
	s.handing.mu.Lock()
	defer s.handing.mu.Unlock()
	s.elsewhere.Store(true)
	if s.shared != nil {
		s.shared.letGo()
	}
	return s.release(func(sh *Shard) error {
		err := sh.dev.(afxdp.Transfer).LetGo()
		sh.after = s.handing.relays[sh.id]
		sh.dev = &relayDevice{Device: sh.dev, relay: sh.after, stats: &sh.stats.Relay}
		go sh.after.read(sh)
		return err
	})
}

// HandedOver reports whether another process has the interface.
func (s *Stack) HandedOver() bool {
	over := false
	s.shards[0].call(func(sh *Shard) { over = sh.after != nil })
	return over
}

// Predecessor reports whether a process that had the interface before still has connections, for which this one receives and sends.
func (s *Stack) Predecessor() bool { return s.predecessors.Load() > 0 }

// halfOpenFlows lists the handshakes that the shard has not completed.
func (s *Shard) halfOpenFlows() (flows []byte) {
	for _, l := range s.lnList {
		for from := uint32(0); from != tcp.WalkEnd && len(flows) < flowLen*maxHalfOpen; {
			from = l.tcp.Walk(from, 1<<12, func(h tcp.HalfOpen) {
				var b [flowLen]byte
				putFlow(b[:], &h.Flow)
				flows = append(flows, b[:]...)
			})
		}
	}
	return flows
}

// lastCookie returns when the shard sent a cookie last; 0: it has sent none.
func (s *Shard) lastCookie() (last clock.Time) {
	for _, l := range s.lnList {
		last = max(last, l.tcp.LastCookie())
	}
	return last
}

// Adopt opens a stack on an interface that another process hands over, which goes on with it until TakeUp. Until then nothing comes or
// goes here, but everything can be prepared: whoever listens is reached from TakeUp on. cfg is as for Open, with the addresses of the other
// process.
func Adopt(cfg Config, h *Handover) (*Stack, error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := h.sound(full.Shared); err != nil {
		return nil, err
	}
	on, err := lookBelow(&full, h)
	if err != nil {
		return nil, err
	}
	iface, err := h.adopt(&full, &on)
	if err != nil {
		return nil, errors.Join(err, on.close())
	}
	s, err := newOn(full, iface, on)
	if err != nil {
		return nil, errors.Join(err, iface.Close(), on.close())
	}
	_, relays, _ := h.parts()
	theirs := flowSet(h.Dialed)
	for i, sh := range s.shards {
		sh.theirs = theirs
		if sh.before, err = newRelay(relays[i]); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	s.Start()
	err = s.checkAffinity()
	if err == nil {
		err = s.followLink(iface)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// adopt opens the interface.
func (h *Handover) adopt(cfg *Config, on *below) (*afxdp.Interface, error) {
	if err := h.check(cfg, on); err != nil {
		return nil, err
	}
	on.from = h
	h.Device.Files, _, _ = h.parts()
	return afxdp.Adopt(h.Device)
}

// sound finds what makes a description useless.
func (h *Handover) sound(shared bool) error {
	if h.Format != handoverFormat {
		return fmt.Errorf("%w: the other process is of another version (format %d, this is %d): stop it and start this one", ErrHandover,
			h.Format, handoverFormat)
	}
	if shared != (h.Shared != nil) {
		return fmt.Errorf("%w: it shares the kernel's addresses: %v, and this process is to: %v: that needs a restart", ErrHandover,
			h.Shared != nil, shared)
	}
	if h.Device == nil || h.Device.Program == nil || len(h.Device.Queues) == 0 || len(h.Secret) != 16 || len(h.FastOpen[0]) != 16 ||
		len(h.FastOpen[1]) != 16 {
		return fmt.Errorf("%w: the description lacks something", ErrHandover)
	}
	files := len(h.Device.Queues)
	if h.Shared != nil {
		if h.Shared.Dial < 0 || h.Shared.Ports < 0 || h.Shared.Dial+h.Shared.Ports > len(h.files) {
			return fmt.Errorf("%w: %d files for %d and %d ports", ErrHandover, len(h.files), h.Shared.Dial, h.Shared.Ports)
		}
		files += h.Shared.Dial + h.Shared.Ports
	}
	if len(h.files) <= files {
		return fmt.Errorf("%w: %d files", ErrHandover, len(h.files))
	}
	return nil
}

// check finds what would make of two stacks something that is not one to their peers.
func (h *Handover) check(cfg *Config, on *below) error {
	others, err := cfg.others()
	if err != nil {
		return err
	}
	var addresses []string
	for _, r := range others.Ranges() {
		addresses = append(addresses, r.String())
	}
	if h.Address != cfg.Address.String() || fmt.Sprint(h.Addresses) != fmt.Sprint(addresses) {
		return fmt.Errorf("%w: its addresses are %s %v, and this process is to have %v %v: other addresses need a restart", ErrHandover,
			h.Address, h.Addresses, cfg.Address, addresses)
	}
	if cfg.Shield != bpf.ShieldOff && h.Device.Program.Config.ShieldFlows == 0 {
		return fmt.Errorf("%w: it was started without a shield, and this process is to have one: that needs a restart", ErrHandover)
	}
	if name, vlan := h.Device.Info.Name, h.Device.Program.Config.VLAN; on.device != name || on.vlan != vlan {
		return fmt.Errorf("%w: it has %s (VLAN %d), and this process is to have %s (VLAN %d)", ErrHandover, name, vlan, on.device, on.vlan)
	}
	return nil
}

// TakeUp begins to receive and send, where the other process stopped.
func (s *Stack) TakeUp(state *HandoverState) error {
	if len(state.Queues) != len(s.shards) {
		return fmt.Errorf("%w: the states of %d queues, and there are %d", ErrHandover, len(state.Queues), len(s.shards))
	}
	halfOpen := flowSet(state.HalfOpen)
	s.predecessors.Store(int32(len(s.shards)))
	var all error
	for i, sh := range s.shards {
		ok := sh.call(func(sh *Shard) {
			sh.halfOpen = halfOpen
			if state.Cookies != 0 {
				for _, l := range sh.lnList {
					l.tcp.CookiesSent(state.Cookies)
				}
			}
			all = errors.Join(all, sh.dev.(afxdp.Transfer).TakeUp(state.Queues[i]))
			go sh.before.read(sh)
		})
		if !ok {
			all = errors.Join(all, errClosed)
		}
	}
	return all
}

// Settle does after TakeUp what cannot be undone, when the other process has let go: what the program is told, and what was held for that.
func (s *Stack) Settle() error {
	err := s.shieldSettle()
	if s.shared != nil {
		return errors.Join(err, s.shared.start(s, s.Interface().Program()))
	}
	s.shards[0].call(func(sh *Shard) { sh.neigh.Announce(sh.now) })
	return err
}

// alone is called when the process before has ended.
func (s *Stack) alone() {
	s.shieldRetain()
	s.leaveLane()
	if s.shared == nil {
		return
	}
	s.mu.Lock() // what is closed has no program any more
	defer s.mu.Unlock()
	if !s.closed {
		s.shared.disinherit()
	}
}

// successorGone ends what is left of a stack whose interface another process had, which has ended.
func (s *Stack) successorGone() {
	s.goneOnce.Do(func() {
		s.link.err = fmt.Errorf("stack: the process that has taken %s over has ended (%w: %w)", s.cfg.Interface,
			afxdp.ErrGone, net.ErrClosed)
		close(s.link.failed)
		for _, sh := range s.shards {
			go sh.call(func(sh *Shard) { sh.fail(s.link.err) })
		}
	})
}

// closeRelays ends what goes between processes.
func (s *Shard) closeRelays() {
	if s.before != nil {
		s.before.close()
	}
	if s.after != nil {
		s.after.close()
	}
}

// Send sends the description and the files, which stay open here.
func (h *Handover) Send(c *net.UnixConn) error {
	body, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("stack: hand over: %w", err)
	}
	return fdpass.Send(c, body, h.files)
}

// ReceiveHandover receives what Send sends.
func ReceiveHandover(c *net.UnixConn) (*Handover, error) {
	body, files, err := fdpass.Receive(c, fdpass.Limits{Body: 64 << 20, Files: 1 << 16})
	if err != nil {
		return nil, err
	}
	h := &Handover{files: files}
	if err := json.Unmarshal(body, h); err != nil {
		h.Close()
		return nil, fmt.Errorf("%w: %w", ErrHandover, err)
	}
	return h, nil
}

// Close closes the files. What was adopted has its own.
func (h *Handover) Close() {
	fdpass.CloseAll(h.files)
	h.files = nil
}
