package load

import "github.com/xdpstack/xdpstack/internal/clock"

type udpWorker struct{}

func (u *udpWorker) resume()              {}
func (u *udpWorker) try(clock.Time) bool  { return false }
func (u *udpWorker) finish()              {}
func (u *udpWorker) deadline() clock.Time { return clock.Never }
