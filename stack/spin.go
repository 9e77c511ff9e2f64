package stack

import "time"

// spinner decides how long an idle shard polls before it sleeps.
//
// Who polls for as long as a sleep costs before he sleeps never pays more than twice what he would if he knew the future. That is what
// Config.SpinTime is about; but a shard that gets a packet each millisecond would pay it a thousand times a second for nothing, and one
// that shares its CPU with those who feed it keeps them from doing so. So it polls only as long as that has been worth it:
//
//	polling ── more polls that found nothing than such that did ──► sleeping at once
//	   ▲                                                                  │
//	   └──────────────── 8, 16 … 256 waits ended within SpinTime ─────────┘
//
// Each time that polling is given up again, twice as many short waits are wanted before the next attempt; when it is worth it, the number
// goes back. An idle stack, whose waits are long, sleeps at once.
type spinner struct {
	limit   time.Duration // Config.SpinTime
	balance int8          // polls that found nothing, less those that did
	doubled uint8         // how often the wanted short waits were doubled
	wanted  uint16        // short waits until polling is tried again; 0: it goes on
}

const (
	spinMisses   = 3 // the balance at which polling is given up
	spinWanted   = 8 // short waits before it is tried again
	spinDoubling = 5 // 8 to 256
)

// length returns how long the wait that begins now is to be spent polling.
func (p *spinner) length() time.Duration {
	if p.wanted > 0 {
		return 0
	}
	return p.limit
}

// found notes that a wait ended while the shard polled.
func (p *spinner) found() {
	if p.wanted > 0 {
		return // it did not poll: what it was to do came between two looks
	}
	p.doubled = 0
	p.balance = max(p.balance-1, -spinMisses)
}

// slept notes that a wait ended after a sleep, and how long it was in all.
func (p *spinner) slept(wait time.Duration) {
	if p.wanted > 0 {
		if wait <= p.limit {
			p.wanted--
		}
		return
	}
	if p.balance++; p.balance >= spinMisses {
		p.wanted = spinWanted << p.doubled
		p.doubled = min(p.doubled+1, spinDoubling)
		p.balance = spinMisses - 1 // one poll tells whether it is worth it again
	}
}
