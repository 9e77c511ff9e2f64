package tcp

import (
	"errors"
	"fmt"
	"time"
)

// Config says how connections behave. A zero field means the default that is given with it.
type Config struct {
	MSS         uint16 // largest payload to announce and to send, bytes; 0: what the device's MTU has room for
	RecvBuffer  uint32 // bytes received and not yet consumed by the application, at most; 0: follows the path, up to MaxRecvBuffer
	SendBuffer  uint32 // bytes written and not yet acknowledged, at most; 0: follows the congestion window, up to MaxSendBuffer
	NoDelay     bool   // send small segments at once (RFC 9293 section 3.7.4: no Nagle algorithm)
	Cork        bool   // hold back a segment that is not full, for at most 200 ms
	KeepAlive   KeepAlive
	UserTimeout time.Duration // sent data must be acknowledged within this (RFC 5482); 0: only Retries counts
	SYNRetries  int           // how often the SYN is sent again; default 7: 247 s until ErrTimeout
	Retries     int           // how often a segment is sent again before the peer counts as gone; default 15
	DelayedACK  time.Duration // how long an ACK may wait, but after losses; less than 0.5 s; default 40 ms, negative: not at all
	QuickACK    int           // the first ACKs that wait for no company, until data carries one; default 0: see docs/options.md
	MinRTO      time.Duration // retransmission timeout, at least; default 200 ms
	MaxRTO      time.Duration // and at most; default 120 s

	// MaxRecvBuffer is what a receive buffer that follows the path grows to, in bytes: one that brings more than half of it in a round
	// trip stays below its rate. The window scale is chosen for it. Default 6 MiB.
	MaxRecvBuffer uint32

	MaxSendBuffer uint32 // what a send buffer that follows the congestion window grows to, in bytes; default 4 MiB

	// NotSentLowat bounds how many bytes may be written and not yet sent, within the send buffer: an application that has newer data to
	// send a moment later would rather wait than queue (TCP_NOTSENT_LOWAT). Writing goes on when half of them were sent. 0: no bound.
	NotSentLowat uint32

	InitialWindow uint32        // segments sent before the first ACK; default 10 (RFC 6928)
	TimeWait      time.Duration // how long TIME-WAIT lasts, twice the MSL; default 60 s
	FinWait2      time.Duration // how long a closed connection waits for the peer's FIN; default 60 s

	// Linger bounds how long a connection that the application closed may go on delivering what was written, before it is reset;
	// 0: as long as Retries and UserTimeout allow, negative: Close resets at once.
	Linger time.Duration

	// FastOpen has TCP Fast Open used (RFC 7413), in the roles that it names; default none. A server must be able to bear that the data
	// of a SYN comes twice: the network, or an eavesdropper, can double it.
	FastOpen FastOpenMode

	// DeferAccept has listeners keep a connection from the application until the peer has sent something, for about this time, at most
	// 31 s: it is rounded up to a time at which a SYN-ACK is sent again, 1, 3, 7, 15 or 31 s after the SYN. As with Linux's
	// TCP_DEFER_ACCEPT the ACK that would complete the handshake is ignored meanwhile; when the time is over the SYN-ACK asks for
	// it once more. Answers with SYN cookies are not deferred. Default 0: not at all.
	DeferAccept time.Duration

	// MTUProbing says when the connection finds out by itself how large segments may be; by default when full segments do not arrive.
	MTUProbing MTUProbing

	NoTimestamps  bool
	NoSACK        bool
	NoWindowScale bool
	ECN           ECNMode // whether routers may mark packets instead of dropping them (RFC 3168); default ECNPassive
	// Congestion is the name of the congestion control: "cubic" (the default; RFC 9438, 9406), "newreno" (RFC 5681, 6582), "bbr"
	// (version 1), or "dctcp" (RFC 8257), which asks for ECN unless that is ECNOff, and is for networks of its own only: it would take
	// from others.
	Congestion string

	// Pacing spreads what the congestion window allows over the round trip instead of sending it in bursts, with any congestion control.
	// BBR is always paced.
	Pacing bool

	// MaxPacingRate bounds how many bytes of payload are sent in a second, with Pacing or without; 0: no bound.
	MaxPacingRate uint64

	algorithm CongestionAlgorithm
	complete  bool // defaults are filled in
}

// KeepAlive says how a connection that is idle is probed (RFC 9293 section 3.8.4).
type KeepAlive struct {
	Idle     time.Duration // silence before the first probe; 0: no probes, negative: DefaultKeepAlive
	Interval time.Duration // between unanswered probes; default 75 s
	Count    int           // unanswered probes until the peer counts as gone; default 9
}

// DefaultKeepAlive is how long a connection is idle before it is probed, when the application asks for probes and for no time of its
// own: RFC 9293 section 3.8.4 has at least two hours.
const DefaultKeepAlive = 2 * time.Hour

// maxDelayedACK is what the delay of an ACK must be less than (RFC 9293 section 3.8.6.3).
const maxDelayedACK = 500 * time.Millisecond

// corkTime is how long a corked connection holds back a segment that is not full.
const corkTime = 200 * time.Millisecond

// ErrConfig is wrapped by every error about a Config.
var ErrConfig = errors.New("tcp: bad configuration")

// withDefaults returns cfg with its zero fields replaced.
func (cfg Config) withDefaults(mss uint16) (Config, error) {
	if cfg.complete {
		return cfg, nil
	}
	algorithm, err := ParseCongestion(cfg.Congestion)
	if err != nil {
		return cfg, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if cfg.MSS != 0 && cfg.MSS < MinMSS {
		return cfg, fmt.Errorf("%w: MSS %d is below %d", ErrConfig, cfg.MSS, MinMSS)
	}
	if max(cfg.RecvBuffer, cfg.SendBuffer, cfg.MaxRecvBuffer, cfg.MaxSendBuffer) > maxBuffer {
		return cfg, fmt.Errorf("%w: buffers of more than 1 GiB cannot be expressed by a window", ErrConfig)
	}
	if cfg.MTUProbing > MTUProbingOff {
		return cfg, fmt.Errorf("%w: MTUProbing %d", ErrConfig, cfg.MTUProbing)
	}
	if cfg.SYNRetries > 255 || cfg.Retries > 255 || cfg.KeepAlive.Count > 255 {
		return cfg, fmt.Errorf("%w: more than 255 retries", ErrConfig)
	}
	if cfg.QuickACK < 0 || cfg.QuickACK > 255 {
		return cfg, fmt.Errorf("%w: %d quick ACKs are not within 0 to 255", ErrConfig, cfg.QuickACK)
	}
	if cfg.FastOpen&^(FastOpenClient|FastOpenServer) != 0 {
		return cfg, fmt.Errorf("%w: FastOpen %d is not a combination of FastOpenClient and FastOpenServer", ErrConfig, cfg.FastOpen)
	}
	if cfg.ECN > ECNOff {
		return cfg, fmt.Errorf("%w: %v is not ECNPassive, ECNOn or ECNOff", ErrConfig, cfg.ECN)
	}
	if cfg.DelayedACK >= maxDelayedACK {
		return cfg, fmt.Errorf("%w: ACKs must be delayed by less than %v, not %v", ErrConfig, maxDelayedACK, cfg.DelayedACK)
	}
	cfg.algorithm, cfg.complete = algorithm, true
	if algorithm == DCTCP && cfg.ECN == ECNPassive {
		cfg.ECN = ECNOn
	}
	if cfg.MSS == 0 || cfg.MSS > mss {
		cfg.MSS = mss
	}
	setDefault(&cfg.MaxRecvBuffer, defaultMaxRecvBuffer)
	setDefault(&cfg.MaxSendBuffer, defaultMaxSendBuffer)
	if cfg.KeepAlive.Idle < 0 {
		cfg.KeepAlive.Idle = DefaultKeepAlive
	}
	setDefault(&cfg.KeepAlive.Interval, 75*time.Second)
	setDefault(&cfg.KeepAlive.Count, 9)
	setDefault(&cfg.SYNRetries, 7) // RFC 9293 section 3.8.3: at least 3 minutes. Linux's 6 give up after 127 s.
	setDefault(&cfg.Retries, 15)
	setDefault(&cfg.DelayedACK, 40*time.Millisecond)
	setDefault(&cfg.MinRTO, 200*time.Millisecond)
	setDefault(&cfg.MaxRTO, 120*time.Second)
	setDefault(&cfg.InitialWindow, 10)
	setDefault(&cfg.TimeWait, 60*time.Second)
	setDefault(&cfg.FinWait2, 60*time.Second)
	cfg.MaxRTO = max(cfg.MaxRTO, cfg.MinRTO)
	return cfg, nil
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// scale returns the window shift that lets 16 bits express the receive buffer, however far it grows (RFC 7323 section 2.3).
func (cfg *Config) scale() uint8 {
	if cfg.NoWindowScale {
		return 0
	}
	most := cfg.RecvBuffer
	if most == 0 {
		most = cfg.MaxRecvBuffer
	}
	n := uint8(0)
	for n < MaxWScale && most>>n > 1<<16-1 {
		n++
	}
	return n
}
