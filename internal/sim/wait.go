package sim

import "time"

// Wait sleeps until a packet may have come, Wake was called, or the timeout (negative: none) passed. In a Network, where time is
// not the caller's to spend, it returns at once.
func (d *Device) Wait(timeout time.Duration) error {
	if _, virtual := d.wire.(*Network); virtual || d.closed.Load() {
		return nil
	}
	// The order matters: whoever delivers after this store sees it and sends a wake-up, and what was delivered before is seen
	// by the look at the ring.
	d.sleeping.Store(true)
	defer d.sleeping.Store(false)
	if !d.rx.Empty() {
		return nil
	}
	if timeout < 0 {
		<-d.wake
		return nil
	}
	if d.timer == nil {
		d.timer = time.NewTimer(timeout)
	} else {
		d.timer.Reset(timeout)
	}
	select {
	case <-d.wake:
		d.timer.Stop()
	case <-d.timer.C:
	}
	return nil
}

// Wake ends a Wait, the next one if there is none now. Any goroutine may call it.
func (d *Device) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}
