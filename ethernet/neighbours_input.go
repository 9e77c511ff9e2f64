package ethernet

import "github.com/xdpstack/xdpstack/internal/clock"

// Input processes an ARP packet that arrived (RFC 826, "Packet Reception"): it learns from it, answers it, and defends our addresses.
func (n *Neighbours) Input(a *ARP, now clock.Time) {
	if !n.acceptable(a) {
		return
	}
	if n.ours(a.SenderIP) {
		n.conflict(a.SenderIP, a, now)
		return
	}
	forUs := a.Op == ARPRequest && n.ours(a.TargetIP)
	if forUs && a.IsProbe() && n.claim.state == Claiming {
		n.conflict(a.TargetIP, a, now) // both of us want the address (RFC 5227 section 2.1.1)
		return
	}
	n.learn(a, now)
	if forUs && n.claim.state == Owned {
		n.reply(a)
	}
}

// Observe processes an ARP packet that arrived at another shard, which answers it: this table only learns from it. Most devices
// deliver all ARP packets to one queue.
func (n *Neighbours) Observe(a *ARP, now clock.Time) {
	if n.acceptable(a) && !n.ours(a.SenderIP) {
		n.learn(a, now)
	}
}

// acceptable refuses our own packets, which come back through some switches and bridges.
func (n *Neighbours) acceptable(a *ARP) bool {
	if a.SenderMAC == n.cfg.MAC {
		n.Stats.OwnPackets++
		return false
	}
	return true
}

// learn updates the entry of the packet's sender. A new entry is made only for a host that asks for an address of ours, and so
// wants to talk to us.
func (n *Neighbours) learn(a *ARP, now clock.Time) {
	if a.SenderIP == [4]byte{} {
		return // a probe: nobody's address yet
	}
	i := n.find(a.SenderIP)
	switch {
	case i != none && !n.entries[i].list.known():
		n.resolved(i, a, now)
	case i != none:
		n.update(i, a, now)
	case a.Op == ARPRequest && n.ours(a.TargetIP):
		n.hear(a, now)
	}
}

// answers reports whether a answers a request of ours: it came to us alone. Anything else says what address the host has, but not
// that the way to it works.
func (n *Neighbours) answers(a *ARP) bool {
	return a.Op == ARPReply && a.TargetIP == n.cfg.IP && a.TargetMAC == n.cfg.MAC
}

// resolved gives an unresolved entry its address and lets go the frames that wait for it.
func (n *Neighbours) resolved(i int32, a *ARP, now clock.Time) {
	n.entries[i].given = false
	if !n.makeRoom(true) {
		n.Stats.LearnRefused++
		return
	}
	n.Stats.Resolved++
	n.known++
	e := &n.entries[i]
	e.mac, e.updated = a.SenderMAC, now
	if n.answers(a) {
		n.move(i, listReachable, now)
	} else {
		n.move(i, listStale, now)
	}
	n.release(i, e.mac)
}

// update is for an entry that has an address already.
func (n *Neighbours) update(i int32, a *ARP, now clock.Time) {
	e := &n.entries[i]
	if e.list == listPermanent {
		return
	}
	if e.mac == a.SenderMAC {
		if n.answers(a) {
			n.move(i, listReachable, now)
		}
		return
	}
	// The address changed: a host got a new device, or a standby took over. The first of several claims wins for a while, or
	// two hosts with one address would have us change our mind with every packet.
	if now.Sub(e.updated) < n.cfg.LockTime {
		n.Stats.ChangesRefused++
		return
	}
	n.Stats.Changes++
	n.taint(i)
	e.mac, e.updated = a.SenderMAC, now
	switch {
	case n.answers(a):
		n.move(i, listReachable, now)
	case e.list != listHeard:
		n.move(i, listStale, now)
	}
}

// hear makes an entry for a host that asked for an address of ours.
func (n *Neighbours) hear(a *ARP, now clock.Time) {
	if !n.makeRoom(false) {
		n.Stats.LearnRefused++
		return
	}
	n.Stats.Heard++
	n.known++
	i := n.insert(a.SenderIP)
	n.entries[i].mac, n.entries[i].updated = a.SenderMAC, now
	n.move(i, listHeard, now)
}

// reply answers a request, or a probe, for an address of ours.
func (n *Neighbours) reply(a *ARP) {
	r := ARP{Op: ARPReply, SenderMAC: n.cfg.MAC, SenderIP: a.TargetIP, TargetMAC: a.SenderMAC, TargetIP: a.SenderIP}
	// A flood of requests must leave room for our own.
	if int(n.output.n) >= len(n.output.packets)*3/4 || !n.output.push(&r) {
		n.Stats.RepliesDropped++
		return
	}
	n.Stats.Replies++
}
