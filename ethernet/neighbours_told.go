package ethernet

import "github.com/xdpstack/xdpstack/internal/clock"

// A stack that shares the kernel's addresses has the kernel's neighbours: its requests (NextOutput) are questions to the kernel, and the
// answers come by Told and Forget in place of ARP packets.

// Told gives an entry the address that somebody has for it whose word counts, just confirmed. Who is not in the table is not wanted.
func (n *Neighbours) Told(ip [4]byte, mac Addr, now clock.Time) {
	i := n.find(ip)
	if i == none || n.entries[i].list == listPermanent {
		return
	}
	e := &n.entries[i]
	switch {
	case !e.list.known():
		e.given = false
		if !n.makeRoom(true) {
			n.Stats.LearnRefused++
			return
		}
		n.Stats.Resolved++
		n.known++
	case e.mac != mac:
		n.Stats.Changes++
		n.taint(i)
	}
	e.mac, e.updated = mac, now
	n.move(i, listReachable, now)
	n.release(i, mac)
}

// Forget removes an entry that has an address, because the one who told it has none any more. Who used it asks again.
func (n *Neighbours) Forget(ip [4]byte) {
	if i := n.find(ip); i != none && n.entries[i].list.known() && n.entries[i].list != listPermanent {
		n.remove(i)
	}
}

// Renew begins a new generation: packets may have another next hop now.
func (n *Neighbours) Renew() { n.gen++ }
