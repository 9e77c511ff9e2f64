package broker

import (
	"errors"
	"fmt"
	"os/user"
	"slices"
	"strconv"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/addrset"
)

// Config says who may have what. The zero value of a field means the default that is given with it.
type Config struct {
	Socket     string          // path of the socket; default DefaultSocket
	Interfaces []string        // that may be asked for; one at least
	Addresses  []addrset.Range // that clients may take; one at least, or Shared
	Shared     bool            // whether clients may share the kernel's addresses
	Ports      []PortRange     // of the kernel's that are reserved for clients who may not do it themselves; default none
	Users      []string        // names or numbers of those who may ask; default: only root and the broker's own user
	Groups     []string        // whose members may ask
	Memory     int64           // bytes of packet memory that an interface's queues may have together; default 1 GiB
	Queues     int             // that an interface may have open; default 64
}

// DefaultSocket is where clients look.
const DefaultSocket = "/run/xdpstack-broker/broker.sock"

const (
	defaultMemory = 1 << 30
	defaultQueues = 64
)

// policy is a Config that is understood.
type policy struct {
	Config
	addresses   addrset.Set
	users, gids []uint32
}

// Validate finds mistakes.
func (c Config) Validate() error {
	_, err := newPolicy(c)
	return err
}

func newPolicy(c Config) (*policy, error) {
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	if c.Memory == 0 {
		c.Memory = defaultMemory
	}
	if c.Queues == 0 {
		c.Queues = defaultQueues
	}
	switch {
	case len(c.Interfaces) == 0:
		return nil, errors.New("broker: no interface that may be asked for")
	case len(c.Addresses) == 0 && !c.Shared:
		return nil, errors.New("broker: no address that clients may take, and the kernel's are not shared")
	case len(c.Ports) > 0 && !c.Shared:
		return nil, errors.New("broker: ports are reserved for servers that share the kernel's addresses, and these may not")
	case c.Memory < 0 || c.Queues < 0:
		return nil, errors.New("broker: memory and queues cannot be less than nothing")
	}
	p := &policy{Config: c}
	var err error
	if p.addresses, err = addrset.New(c.Addresses...); err != nil {
		return nil, fmt.Errorf("broker: the addresses: %w", err)
	}
	for _, name := range c.Users {
		id, err := number(name, func() (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		})
		if err != nil {
			return nil, fmt.Errorf("broker: who may ask: %w", err)
		}
		p.users = append(p.users, id)
	}
	for _, name := range c.Groups {
		id, err := number(name, func() (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		})
		if err != nil {
			return nil, fmt.Errorf("broker: who may ask: %w", err)
		}
		p.gids = append(p.gids, id)
	}
	return p, nil
}

// number returns a user's or group's number, which its name may be already.
func number(name string, lookup func() (string, error)) (uint32, error) {
	text, err := lookup()
	if err != nil {
		if _, e := strconv.ParseUint(name, 10, 32); e != nil {
			return 0, err
		}
		text = name
	}
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// admits says whether who asks may.
func (p *policy) admits(peer peer, self uint32) error {
	if peer.uid == 0 || peer.uid == self || slices.Contains(p.users, peer.uid) {
		return nil
	}
	for _, g := range peer.gids {
		if slices.Contains(p.gids, g) {
			return nil
		}
	}
	return fmt.Errorf("user %d may not ask: start the broker with --allow-user %d", peer.uid, peer.uid)
}

// check says whether a request may be granted.
func (p *policy) check(r *Request) error {
	switch {
	case r.Version != version:
		return fmt.Errorf("version %d of the protocol; this broker has version %d: use the same xdpstack for both", r.Version, version)
	case !slices.Contains(p.Interfaces, r.Interface):
		return fmt.Errorf("interface %q is not one of %q", r.Interface, p.Interfaces)
	case r.Steer.Mode == bpf.SharedAddress && !p.Shared:
		return errors.New("only addresses of the client's own are given, not the kernel's: start the broker with --shared")
	case r.Steer.Mode == bpf.SharedAddress && len(r.Addresses) > 0:
		return errors.New("addresses of the client's own together with the kernel's")
	case r.Steer.Mode != bpf.SharedAddress && r.Steer.Mode != bpf.OwnAddress:
		return errors.New("a whole interface is not given")
	case r.Steer.Mode == bpf.OwnAddress && len(r.Addresses) == 0:
		return errors.New("no address is asked for")
	case r.Options.Driver != "" && r.Options.Driver != afxdp.DriverNative:
		return fmt.Errorf("driver %q cannot be handed over", r.Options.Driver)
	case r.Options.Pin:
		return errors.New("the program of a client is not pinned: it goes with the client")
	case r.Options.SendOnly || r.Options.Memory != nil:
		return errors.New("sockets that only send, and memory that is shared, are not given")
	}
	for _, want := range r.Addresses {
		if err := p.allows(want); err != nil {
			return err
		}
	}
	return p.checkSizes(r)
}

// allows says whether a client may have a range of addresses.
func (p *policy) allows(want addrset.Range) error {
	set, err := addrset.New(want)
	if err != nil {
		return err
	}
	for _, w := range set.Ranges() {
		found := false
		for _, r := range p.addresses.Ranges() {
			found = found || r.First.Compare(w.First) <= 0 && w.Last.Compare(r.Last) <= 0
		}
		if !found {
			return fmt.Errorf("address %v is not one of those that may be taken: %v", w, &p.addresses)
		}
	}
	return nil
}

// Bounds of what the options and the program may have, whatever the Config says.
const (
	maxRing      = 1 << 16 // slots
	maxElements  = 1 << 20 // of a map
	maxBindTime  = 10 * time.Second
	largestFrame = 4096 // bytes; the broker does not know yet which the interface's MTU asks for
)

// checkSizes bounds what the client's interface takes.
func (p *policy) checkSizes(r *Request) error {
	o, s := &r.Options, &r.Steer
	queues, frames := int64(len(o.Queues)), int64(o.Frames)
	if queues == 0 {
		queues = int64(r.queues)
	}
	if frames == 0 {
		frames = 16384
	}
	switch {
	case queues > int64(p.Queues):
		return fmt.Errorf("%d queues are more than the %d that may be open", queues, p.Queues)
	case frames < 0 || frames > p.Memory/largestFrame || queues*frames*largestFrame > p.Memory:
		return fmt.Errorf("%d frames for each of %d queues are more than the %d MiB that may be had", frames, queues, p.Memory>>20)
	case o.BindTimeout > maxBindTime:
		return fmt.Errorf("a bind timeout of %v is longer than %v", o.BindTimeout, maxBindTime)
	}
	for _, n := range []int{o.RxRing, o.TxRing, o.FillRing, o.CompletionRing, o.TxStamps} {
		if n > maxRing {
			return fmt.Errorf("a ring of %d is larger than %d", n, maxRing)
		}
	}
	for _, n := range []int{s.Queues, s.MaxAddresses, s.MaxPrefixes, s.MaxPorts, s.ShieldFlows} {
		if n > maxElements {
			return fmt.Errorf("a map of %d elements is larger than %d", n, maxElements)
		}
	}
	return nil
}
