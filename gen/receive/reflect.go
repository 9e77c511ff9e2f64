package receive

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/ipv4"
)

// Layer says what is exchanged in a packet that is sent back: source and destination of the layer, and of those beneath.
type Layer uint8

// The layers.
const (
	Layer2 Layer = 2 // Ethernet addresses: any frame
	Layer3 Layer = 3 // and IPv4 addresses
	Layer4 Layer = 4 // and ports of TCP or UDP
)

// Reflector is a Handler that sends packets back, in the frames that they came in. An exchange of two words does not change a
// checksum that covers both, so none is computed, and one that was wrong stays so.
type Reflector struct {
	layer Layer
	own   uint32    // our address; 0: none
	nets  []network // of those that are answered on layers 3 and 4; none: all are
}

type network struct{ address, mask uint32 }

// NewReflector makes a Reflector. From layer 3 on, packets from outside of the networks nets are not answered: whoever forges a
// source could aim us at others. Without nets all are.
func NewReflector(layer Layer, own netip.Addr, nets []netip.Prefix) (*Reflector, error) {
	if layer < Layer2 || layer > Layer4 {
		return nil, fmt.Errorf("%w: layer %d, want 2, 3 or 4", ErrConfig, layer)
	}
	r := &Reflector{layer: layer}
	if own.IsValid() {
		r.own = number(own)
	}
	for _, n := range nets {
		if n.Addr().Is4() {
			r.nets = append(r.nets, network{number(n.Masked().Addr()), ^uint32(0) << (32 - n.Bits())})
		}
	}
	if len(nets) > 0 && len(r.nets) == 0 {
		return nil, fmt.Errorf("%w: none of the networks %v is of IPv4", ErrConfig, nets)
	}
	return r, nil
}

func number(a netip.Addr) uint32 {
	b := a.Unmap().As4()
	return binary.BigEndian.Uint32(b[:])
}

// Handle prepares the packets that are to go back, and puts them to the front of the batch.
func (r *Reflector) Handle(batch []frame.Desc, pool *frame.Pool, _ uint64, c *Counters) (send int) {
	for i := 0; i < len(batch); {
		n := 1
		for batch[i+n-1].More && i+n < len(batch) {
			n++
		}
		if r.turn(pool.Bytes(batch[i]), c) {
			if send == i {
				send += n
			} else {
				send += swap(batch[send:i+n], n)
			}
		}
		i += n
	}
	return send
}

// swap moves the last n descriptors to the front, in their order. That of the others does not matter any more. It returns n.
func swap(batch []frame.Desc, n int) int {
	if n == 1 {
		last := len(batch) - 1
		batch[0], batch[last] = batch[last], batch[0]
		return n
	}
	var moved [batchLen]frame.Desc
	copy(moved[:n], batch[len(batch)-n:])
	copy(batch[n:], batch[:len(batch)-n])
	copy(batch, moved[:n])
	return n
}

// turn makes a packet go back. It reports false, and counts why, if it must not.
func (r *Reflector) turn(b []byte, c *Counters) bool {
	if len(b) < ethernet.HeaderLen {
		c.Short++
		return false
	}
	const group = 1 // the bit of an address, in its first byte
	if (b[0]|b[6])&group != 0 {
		c.Group++
		return false
	}
	if r.layer > Layer2 && !r.turnIPv4(b, c) {
		return false
	}
	var destination [6]byte
	copy(destination[:], b)
	copy(b, b[6:12])
	copy(b[6:12], destination[:])
	return true
}

// turnIPv4 exchanges the addresses in a frame, and the ports on layer 4.
func (r *Reflector) turnIPv4(b []byte, c *Counters) bool {
	off := ethernet.HeaderLen
	kind := ethernet.Type(binary.BigEndian.Uint16(b[12:]))
	for range ethernet.MaxTags {
		if kind != ethernet.TypeVLAN && kind != ethernet.TypeQinQ || len(b) < off+ethernet.TagLen {
			break
		}
		kind = ethernet.Type(binary.BigEndian.Uint16(b[off+2:]))
		off += ethernet.TagLen
	}
	if kind != ethernet.TypeIPv4 {
		c.NotIP++
		return false
	}
	ip := b[off:]
	if len(ip) < ipv4.MinHeaderLen || int(ip[0]&15)*4 < ipv4.MinHeaderLen || len(ip) < int(ip[0]&15)*4 {
		c.Short++
		return false
	}
	addresses := binary.BigEndian.Uint64(ip[12:])
	if !r.may(uint32(addresses>>32), uint32(addresses), c) {
		return false
	}
	if r.layer == Layer4 && !turnPorts(ip, c) {
		return false
	}
	binary.BigEndian.PutUint64(ip[12:], addresses<<32|addresses>>32)
	return true
}

// may reports whether a packet with these addresses may go back.
func (r *Reflector) may(source, destination uint32, c *Counters) bool {
	const multicast = 224 << 24 // and all above: reserved, broadcast
	switch {
	case source >= multicast || source>>24 == 0 || destination >= multicast || destination>>24 == 0:
		c.Group++
		return false
	case source == r.own:
		c.Ourselves++
		return false
	}
	for _, n := range r.nets {
		if source&n.mask == n.address {
			return true
		}
	}
	if len(r.nets) > 0 {
		c.Foreign++
		return false
	}
	return true
}

// turnPorts exchanges the ports of a packet.
func turnPorts(ip []byte, c *Counters) bool {
	if ip[9] != ipv4.ProtoTCP && ip[9] != ipv4.ProtoUDP {
		c.NoPorts++
		return false
	}
	const moreOrOffset = 0x3fff
	if binary.BigEndian.Uint16(ip[6:])&moreOrOffset != 0 {
		c.NotIP++
		return false
	}
	ports := ip[int(ip[0]&15)*4:]
	if len(ports) < 4 {
		c.Short++
		return false
	}
	p := binary.BigEndian.Uint32(ports)
	binary.BigEndian.PutUint32(ports, p<<16|p>>16)
	return true
}
