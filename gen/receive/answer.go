package receive

import (
	"net/netip"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
)

// responder answers ARP for an address.
type responder struct {
	answers bool // false: it answers nothing
	mac     ethernet.Addr
	ip      [4]byte
	replies [batchLen]frame.Desc
}

func newResponder(q afxdp.Queue, address netip.Addr) responder {
	if !address.IsValid() {
		return responder{}
	}
	return responder{answers: true, mac: q.HardwareAddr(), ip: address.Unmap().As4()}
}

// answer takes the ARP requests for our address out of a batch, whose order stays. It makes them into replies, in their own frames,
// and puts these into replies. What else is ARP stays in the batch.
func (r *responder) answer(batch []frame.Desc, pool *frame.Pool, c *Counters) (rest []frame.Desc, replies int) {
	kept := 0
	for i, d := range batch {
		whole := !d.More && (i == 0 || !batch[i-1].More) // no ARP packet is longer than a frame
		if whole && mayBeARP(pool.Bytes(d)) && r.reply(pool.Bytes(d), c) {
			r.replies[replies] = d
			replies++
			continue
		}
		if kept != i {
			batch[kept] = d
		}
		kept++
	}
	return batch[:kept], replies
}

// mayBeARP is false of nearly every packet, for little.
func mayBeARP(b []byte) bool {
	const ipv4 = 0x0800
	return len(b) >= ethernet.HeaderLen && uint16(b[12])<<8|uint16(b[13]) != ipv4
}

// reply makes a frame with an ARP request for our address into the reply. It reports false, and leaves the frame as it is, if it is
// none. The address is ours alone, so a probe for it is answered too (RFC 5227 section 2.4).
func (r *responder) reply(b []byte, c *Counters) bool {
	var h ethernet.Header
	off, err := ethernet.Parse(b, &h)
	if err != nil || h.Type != ethernet.TypeARP {
		return false
	}
	a, err := ethernet.ParseARP(b[off:])
	if err != nil {
		return false
	}
	if a.SenderIP == r.ip && a.SenderMAC != r.mac {
		c.Conflicts++
		return false
	}
	if a.Op != ethernet.ARPRequest || a.TargetIP != r.ip {
		return false
	}
	answer := ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: r.mac, SenderIP: r.ip, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP}
	h.Dst, h.Src = a.SenderMAC, r.mac
	h.Marshal(b)
	answer.Marshal(b[off:])
	return true
}
