package receive

import (
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
)

// answer takes the ARP requests for our address out of a batch, whose order stays. It makes them into replies, in their own frames,
// and puts these into w.replies. What else is ARP stays in the batch.
func (w *worker) answer(batch []frame.Desc) (rest []frame.Desc, replies int) {
	kept := 0
	for i, d := range batch {
		whole := !d.More && (i == 0 || !batch[i-1].More) // no ARP packet is longer than a frame
		if whole && mayBeARP(w.pool.Bytes(d)) && w.reply(w.pool.Bytes(d)) {
			w.replies[replies] = d
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
func (w *worker) reply(b []byte) bool {
	var h ethernet.Header
	off, err := ethernet.Parse(b, &h)
	if err != nil || h.Type != ethernet.TypeARP {
		return false
	}
	a, err := ethernet.ParseARP(b[off:])
	if err != nil {
		return false
	}
	if a.SenderIP == w.ip && a.SenderMAC != w.mac {
		w.counters.Conflicts++
		return false
	}
	if a.Op != ethernet.ARPRequest || a.TargetIP != w.ip {
		return false
	}
	answer := ethernet.ARP{Op: ethernet.ARPReply, SenderMAC: w.mac, SenderIP: w.ip, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP}
	h.Dst, h.Src = a.SenderMAC, w.mac
	h.Marshal(b)
	answer.Marshal(b[off:])
	return true
}
