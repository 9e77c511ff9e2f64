package sock

import (
	"math"
	"syscall"
	"time"

	"github.com/xdpstack/xdpstack/internal/clock"
	"github.com/xdpstack/xdpstack/tcp"
)

// Value is the value of a socket option: a number, the two of SO_LINGER, or the name that TCP_CONGESTION has.
type Value struct {
	N, Linger int
	Text      string
}

// option is a socket option in Linux's units.
type option struct {
	// check refuses values that make no sense; nil: all do.
	check func(v Value) syscall.Errno
	// config sets it for the connection to come.
	config func(s *Socket, v Value)
	// live changes a connection; nil: it is too late then, and nothing happens, as with Linux.
	live func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno
	// get tells it.
	get func(s *Socket, cfg *tcp.Config) Value
}

// quickACKs is how many ACKs TCP_QUICKACK sends at once.
const quickACKs = 16

// options are those that tcp.Config or tcp.Conn have, by their names in C.
var options = map[string]option{
	"TCP_NODELAY": {
		config: func(s *Socket, v Value) { s.options.NoDelay = v.N != 0 },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetNoDelay(v.N != 0); return 0 },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return flag(cfg.NoDelay) },
	},
	"TCP_CORK": {
		config: func(s *Socket, v Value) { s.options.Cork = v.N != 0 },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetCork(v.N != 0); return 0 },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return flag(cfg.Cork) },
	},
	"TCP_QUICKACK": {
		config: func(s *Socket, v Value) { s.options.QuickACK = v.N & 1 * quickACKs },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetQuickACK(v.N&1 != 0); return 0 },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return flag(cfg.QuickACK != 0) },
	},
	"SO_KEEPALIVE": {
		config: func(s *Socket, v Value) { s.options.KeepAlive.Idle = s.idle(v.N != 0) },
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			c.SetKeepAlive(-time.Duration(flag(v.N != 0).N), now)
			return 0
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return flag(cfg.KeepAlive.Idle != 0) },
	},
	"TCP_KEEPIDLE": {
		check: within(1, 32767),
		config: func(s *Socket, v Value) {
			s.keepIdle = seconds(v)
			s.options.KeepAlive.Idle = s.idle(s.options.KeepAlive.Idle != 0)
		},
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			on := c.Config().KeepAlive.Idle != 0
			c.SetKeepAlive(seconds(v), now)
			if !on {
				c.SetKeepAlive(0, now)
			}
			return 0
		},
		get: func(s *Socket, cfg *tcp.Config) Value {
			if cfg.KeepAlive.Idle > 0 {
				return Value{N: int(cfg.KeepAlive.Idle / time.Second)}
			}
			return Value{N: int(max(s.idle(true), 0) / time.Second)}
		},
	},
	"TCP_KEEPINTVL": {
		check:  within(1, 32767),
		config: func(s *Socket, v Value) { s.options.KeepAlive.Interval = seconds(v) },
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			return keepAlive(c, tcp.KeepAlive{Interval: seconds(v)}, now)
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.KeepAlive.Interval / time.Second)} },
	},
	"TCP_KEEPCNT": {
		check:  within(1, 127),
		config: func(s *Socket, v Value) { s.options.KeepAlive.Count = v.N },
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			return keepAlive(c, tcp.KeepAlive{Count: v.N}, now)
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return Value{N: cfg.KeepAlive.Count} },
	},
	"TCP_USER_TIMEOUT": {
		check:  within(0, 1<<31-1),
		config: func(s *Socket, v Value) { s.options.UserTimeout = time.Duration(v.N) * time.Millisecond },
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			c.SetUserTimeout(time.Duration(v.N)*time.Millisecond, now)
			return 0
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.UserTimeout / time.Millisecond)} },
	},
	"TCP_SYNCNT": {
		check:  within(1, 127),
		config: func(s *Socket, v Value) { s.options.SYNRetries = v.N },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return Value{N: cfg.SYNRetries} },
	},
	"TCP_LINGER2": {
		config: func(s *Socket, v Value) { s.options.FinWait2 = seconds(v) },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.FinWait2 / time.Second)} },
	},
	"SO_LINGER": {
		config: func(s *Socket, v Value) { s.options.Linger = linger(v) },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetLinger(linger(v)); return 0 },
		get: func(_ *Socket, cfg *tcp.Config) Value {
			return Value{N: flag(cfg.Linger != 0).N, Linger: int(max(cfg.Linger, 0) / time.Second)}
		},
	},
	"TCP_MAXSEG": {
		check:  within(tcp.MinMSS, 32767),
		config: func(s *Socket, v Value) { s.options.MSS = uint16(v.N) },
		live: func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno {
			_ = c.SetMaxSegment(uint16(v.N)) // checked already
			return 0
		},
		get: func(s *Socket, cfg *tcp.Config) Value {
			if s.conn != nil {
				return Value{N: int(s.conn.Info().SendMSS)}
			}
			return Value{N: int(cfg.MSS)}
		},
	},
	"TCP_CONGESTION": {
		check: func(v Value) syscall.Errno {
			if _, err := tcp.ParseCongestion(v.Text); err != nil {
				return syscall.ENOENT
			}
			return 0
		},
		config: func(s *Socket, v Value) { s.options.Congestion = v.Text },
		live: func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno {
			_ = c.SetCongestion(v.Text) // checked already
			return 0
		},
		get: func(_ *Socket, cfg *tcp.Config) Value {
			a, _ := tcp.ParseCongestion(cfg.Congestion)
			if a == tcp.NewReno {
				return Value{Text: "reno"} // as Linux calls it
			}
			return Value{Text: a.String()}
		},
	},
	"TCP_FASTOPEN_CONNECT": {
		config: func(s *Socket, v Value) {
			s.options.FastOpen &^= tcp.FastOpenClient
			if v.N != 0 {
				s.options.FastOpen |= tcp.FastOpenClient
			}
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return flag(cfg.FastOpen&tcp.FastOpenClient != 0) },
	},
	"TCP_FASTOPEN": {
		config: (*Socket).setFastOpen,
		get:    func(s *Socket, _ *tcp.Config) Value { return Value{N: s.fastOpen} },
	},
	"SO_MAX_PACING_RATE": {
		check:  within(0, math.MaxInt),
		config: func(s *Socket, v Value) { s.options.MaxPacingRate = uint64(v.N) },
		live: func(c *tcp.Conn, v Value, now clock.Time) syscall.Errno {
			c.SetMaxPacingRate(uint64(v.N), now)
			return 0
		},
		get: func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.MaxPacingRate)} },
	},
	"TCP_DEFER_ACCEPT": {
		config: func(s *Socket, v Value) { s.options.DeferAccept = seconds(v) },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.DeferAccept / time.Second)} },
	},
	"SO_RCVBUF": {
		check:  within(0, 1<<30),
		config: func(s *Socket, v Value) { s.options.RecvBuffer = uint32(v.N) },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetRecvBuffer(uint32(v.N)); return 0 },
		get: func(s *Socket, cfg *tcp.Config) Value {
			if s.conn != nil {
				return Value{N: int(s.conn.Info().RecvBuffer)}
			}
			return Value{N: int(cfg.RecvBuffer)}
		},
	},
	"SO_SNDBUF": {
		check:  within(0, 1<<30),
		config: func(s *Socket, v Value) { s.options.SendBuffer = uint32(v.N) },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetSendBuffer(uint32(v.N)); return 0 },
		get: func(s *Socket, cfg *tcp.Config) Value {
			if s.conn != nil {
				return Value{N: int(s.conn.Info().SendBuffer)}
			}
			return Value{N: int(cfg.SendBuffer)}
		},
	},
	"TCP_NOTSENT_LOWAT": {
		check:  within(0, 1<<30),
		config: func(s *Socket, v Value) { s.options.NotSentLowat = uint32(v.N) },
		live:   func(c *tcp.Conn, v Value, _ clock.Time) syscall.Errno { c.SetNotSentLowat(uint32(v.N)); return 0 },
		get:    func(_ *Socket, cfg *tcp.Config) Value { return Value{N: int(cfg.NotSentLowat)} },
	},
	"SO_ERROR":     {get: func(s *Socket, _ *tcp.Config) Value { return Value{N: int(s.Err())} }},
	"SO_REUSEADDR": {config: func(*Socket, Value) {}, get: func(*Socket, *tcp.Config) Value { return Value{} }},
	"SO_REUSEPORT": {config: func(*Socket, Value) {}, get: func(*Socket, *tcp.Config) Value { return Value{} }},
}

// SetOption sets an option by its name in C.
func (s *Socket) SetOption(name string, v Value) syscall.Errno {
	o, ok := options[name]
	if !ok || o.config == nil {
		return syscall.ENOPROTOOPT
	}
	if o.check != nil {
		if e := o.check(v); e != 0 {
			return e
		}
	}
	o.config(s, v)
	if s.listen != nil {
		if cfg, err := s.host.Core.NewConfig(s.options); err == nil {
			s.cfg = cfg // of the connections that it accepts from now on
		}
	}
	if s.conn == nil || s.conn.Gone || o.live == nil {
		return 0
	}
	e := o.live(&s.conn.tcp, v, s.host.now)
	s.host.Settle()
	return e
}

// Option returns the value of an option by its name in C.
func (s *Socket) Option(name string) (Value, syscall.Errno) {
	o, ok := options[name]
	if !ok {
		return Value{}, syscall.ENOPROTOOPT
	}
	cfg := s.Config()
	return o.get(s, &cfg), 0
}

func flag(on bool) Value {
	if on {
		return Value{N: 1}
	}
	return Value{}
}

func within(lo, hi int) func(Value) syscall.Errno {
	return func(v Value) syscall.Errno {
		if v.N < lo || v.N > hi {
			return syscall.EINVAL
		}
		return 0
	}
}

func seconds(v Value) time.Duration { return time.Duration(v.N) * time.Second }

// linger returns what tcp.Config has for onoff and seconds.
func linger(v Value) time.Duration {
	switch {
	case v.N == 0:
		return 0
	case v.Linger <= 0:
		return -1
	}
	return time.Duration(v.Linger) * time.Second
}

// idle returns after which time of silence the connection to come is probed.
func (s *Socket) idle(on bool) time.Duration {
	switch {
	case !on:
		return 0
	case s.keepIdle != 0:
		return s.keepIdle
	}
	return tcp.DefaultKeepAlive
}

// keepAlive changes the parameters of the probes and leaves them on or off.
func keepAlive(c *tcp.Conn, k tcp.KeepAlive, now clock.Time) syscall.Errno {
	if c.Config().KeepAlive.Idle != 0 {
		k.Idle = -1
	}
	c.SetKeepAliveConfig(k, now)
	return 0
}

// setFastOpen has a listener, present or to come, take so many connections before their handshake is complete.
func (s *Socket) setFastOpen(v Value) {
	s.options.FastOpen &^= tcp.FastOpenServer
	if s.fastOpen = max(v.N, 0); s.fastOpen > 0 {
		s.options.FastOpen |= tcp.FastOpenServer
	}
	if s.listen != nil {
		s.listen.SetFastOpen(s.fastOpen)
	}
}
