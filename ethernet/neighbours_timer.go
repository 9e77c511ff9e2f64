package ethernet

import "github.com/xdpstack/xdpstack/internal/clock"

// Deadline returns when Expire has something to do.
func (n *Neighbours) Deadline() clock.Time {
	t := n.claim.deadline
	for l := listIncomplete; l < listPermanent; l++ {
		if i := n.lists[l].head; i != none {
			t = min(t, n.entries[i].deadline)
		}
	}
	return t
}

// Expire does what is due: requests are sent again, neighbours that do not answer are given up, entries age.
func (n *Neighbours) Expire(now clock.Time) {
	for i := n.due(listIncomplete, now); i != none; i = n.due(listIncomplete, now) {
		if int(n.entries[i].tries) < n.cfg.Tries {
			n.ask(i, listIncomplete, now)
		} else {
			n.fail(i, now)
		}
	}
	for i := n.due(listProbe, now); i != none; i = n.due(listProbe, now) {
		if int(n.entries[i].tries) < n.cfg.Tries {
			n.ask(i, listProbe, now)
		} else {
			// The host is gone or has another address. Whoever still wants it asks everybody.
			n.Stats.ProbesFailed++
			n.remove(i)
		}
	}
	for i := n.due(listReachable, now); i != none; i = n.due(listReachable, now) {
		n.taint(i)
		n.move(i, listStale, now)
	}
	for _, l := range [...]listID{listStale, listHeard, listFailed} {
		for i := n.due(l, now); i != none; i = n.due(l, now) {
			n.Stats.Aged++
			n.remove(i)
		}
	}
	n.expireClaim(now)
}

// due returns the first entry of a list if its time has come, or none.
func (n *Neighbours) due(l listID, now clock.Time) int32 {
	i := n.lists[l].head
	if i != none && n.entries[i].deadline.After(now) {
		return none
	}
	return i
}

// ask sends a request for the entry's address, to everybody or, if it has one that is to be verified, to that (RFC 1122 section
// 2.3.2.1, "unicast poll"), and puts the entry at the end of the list in which it waits for the answer.
//
// Only requests to everybody about hosts that may not exist are limited: a flood of them must not cost us neighbours that we have.
func (n *Neighbours) ask(i int32, l listID, now clock.Time) {
	n.move(i, l, now)
	e := &n.entries[i]
	e.tries++
	if l == listIncomplete && e.ip != n.cfg.Gateway && !n.requests.Take(now) {
		n.Stats.RequestsLimited++
		return
	}
	r := ARP{Op: ARPRequest, SenderMAC: n.cfg.MAC, SenderIP: n.cfg.IP, TargetMAC: e.mac, TargetIP: e.ip}
	if !n.output.push(&r) {
		n.Stats.RequestsDropped++
		return
	}
	n.Stats.Requests++
}

// fail gives up an entry that nobody answered for.
func (n *Neighbours) fail(i int32, now clock.Time) {
	n.Stats.Failed++
	n.Stats.PendingDropped += n.dropPending(i)
	n.failures.push(n.entries[i].ip)
	n.entries[i].given = false // the failure is told by name
	n.move(i, listFailed, now)
}

// NextOutput returns the next ARP packet to send; its Destination method says to whom.
func (n *Neighbours) NextOutput(a *ARP) bool { return n.output.pop(a) }

// NextUnreachable returns the next neighbour that was given up since the last call, so that connections to it can be told.
func (n *Neighbours) NextUnreachable(ip *[4]byte) bool { return n.failures.pop(ip) }

// outputRing holds the ARP packets to send.
type outputRing struct {
	packets []ARP
	head, n uint32
}

func (r *outputRing) push(a *ARP) bool {
	if int(r.n) == len(r.packets) {
		return false
	}
	r.packets[(r.head+r.n)%uint32(len(r.packets))] = *a
	r.n++
	return true
}

func (r *outputRing) pop(a *ARP) bool {
	if r.n == 0 {
		return false
	}
	*a = r.packets[r.head]
	r.head = (r.head + 1) % uint32(len(r.packets))
	r.n--
	return true
}

// failureRing holds the neighbours that were given up. It has room for all that can be at once; if nobody empties it, the oldest
// make room, whose connections find out when they send again.
type failureRing struct {
	ips     [][4]byte
	head, n uint32
}

func (r *failureRing) push(ip [4]byte) {
	if int(r.n) == len(r.ips) {
		var oldest [4]byte
		r.pop(&oldest)
	}
	r.ips[(r.head+r.n)%uint32(len(r.ips))] = ip
	r.n++
}

func (r *failureRing) pop(ip *[4]byte) bool {
	if r.n == 0 {
		return false
	}
	*ip = r.ips[r.head]
	r.head = (r.head + 1) % uint32(len(r.ips))
	r.n--
	return true
}
