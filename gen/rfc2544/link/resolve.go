package link

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/ethernet"
	"github.com/xdpstack/xdpstack/frame"
	"github.com/xdpstack/xdpstack/internal/clock"
)

// Resolve asks by ARP, three times, who has an address, and returns the MAC address of who answers one of the queues. They are those of an
// interface whose frames all come here.
func Resolve(ctx context.Context, queues []afxdp.Queue, own, target netip.Addr) (ethernet.Addr, error) {
	const attempts, patience = 3, 300 * time.Millisecond
	p := &port{tap: tap{queue: queues[0]}, mac: queues[0].HardwareAddr(), ip: own}
	question := ethernet.ARP{Op: ethernet.ARPRequest, SenderMAC: p.mac, SenderIP: own.As4(), TargetIP: target.As4()}
	for range attempts {
		p.send(ethernet.Broadcast, &question)
		for end := clock.Now().Add(patience); clock.Now() < end && ctx.Err() == nil; {
			for _, q := range queues {
				if mac, ok := answered(q, target); ok {
					return mac, nil
				}
			}
			_ = queues[0].Wait(time.Millisecond) // a link that is down does not answer
		}
	}
	if err := ctx.Err(); err != nil {
		return ethernet.Addr{}, err
	}
	return ethernet.Addr{}, fmt.Errorf("%v does not answer ARP: is it up, and on this link? If a router leads there, give its address "+
		"(--gateway) or MAC address (--target-mac)", target)
}

// answered looks for an answer among what a queue has received.
func answered(q afxdp.Queue, target netip.Addr) (mac ethernet.Addr, ok bool) {
	var batch [frame.MaxFrames]frame.Desc
	n := q.Receive(batch[:])
	for _, d := range batch[:n] {
		b := q.Pool().Bytes(d)
		var h ethernet.Header
		if off, err := ethernet.Parse(b, &h); err == nil && h.Type == ethernet.TypeARP {
			a, err := ethernet.ParseARP(b[off:])
			if err == nil && a.SenderIP == target.As4() {
				mac, ok = a.SenderMAC, true
			}
		}
		q.Pool().Release(d.Frame)
	}
	q.Recycle()
	return mac, ok
}
