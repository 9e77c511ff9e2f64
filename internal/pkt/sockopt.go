package pkt

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdpstack/xdpstack/tcp"
)

// setsockopt sets what tcp.Config has, before the connection is opened, or what Conn can still change afterwards.
func (r *runner) setsockopt(c *call, s *socket) (attempt, error) {
	name, v := c.arg(2), c.arg(3)
	if len(name.names) != 1 {
		return nil, fmt.Errorf("the third argument of setsockopt must be the name of an option")
	}
	if name.has("SO_LINGER") {
		return r.setLinger(v, s), nil
	}
	n := v.number()
	on := n != 0
	o := &s.options
	switch name.names[0] {
	case "SO_REUSEADDR", "SO_REUSEPORT":
		return complete(outcome{}), nil
	case "TCP_NODELAY":
		o.NoDelay = on
		s.live(func(c *conn) { c.tcp.SetNoDelay(on) })
		return complete(outcome{}), nil
	case "TCP_CORK":
		o.Cork = on
		s.live(func(c *conn) { c.tcp.SetCork(on) })
		return complete(outcome{}), nil
	case "SO_KEEPALIVE":
		return r.setKeepAlive(on, s), nil
	case "TCP_KEEPIDLE":
		s.keepIdle = time.Duration(n) * time.Second
		return r.setKeepAlive(s.options.KeepAlive.Idle != 0, s), nil
	}
	if s.conn != nil || s.listen != nil {
		return nil, fmt.Errorf("%s can be set before connect or listen only", name.names[0])
	}
	switch name.names[0] {
	case "SO_RCVBUF":
		o.RecvBuffer = uint32(n)
	case "SO_SNDBUF":
		o.SendBuffer = uint32(n)
	case "TCP_MAXSEG":
		o.MSS = uint16(n)
	case "TCP_KEEPINTVL":
		o.KeepAlive.Interval = time.Duration(n) * time.Second
	case "TCP_KEEPCNT":
		o.KeepAlive.Count = int(n)
	case "TCP_USER_TIMEOUT":
		o.UserTimeout = time.Duration(n) * time.Millisecond
	case "TCP_SYNCNT":
		o.SYNRetries = int(n)
	case "TCP_LINGER2":
		o.FinWait2 = time.Duration(n) * time.Second
	case "TCP_CONGESTION":
		o.Congestion = v.text
	default:
		return complete(fail(syscall.ENOPROTOOPT)), nil
	}
	return complete(outcome{}), nil
}

// live calls do with the socket's connection if the core still has it.
func (s *socket) live(do func(*conn)) {
	if s.conn != nil && !s.conn.gone {
		do(s.conn)
	}
}

// defaultKeepIdle is how long a connection is idle before it is probed if nobody said: two hours (RFC 9293 section 3.8.4).
const defaultKeepIdle = 2 * time.Hour

func (r *runner) setKeepAlive(on bool, s *socket) attempt {
	idle := time.Duration(0)
	if on {
		idle = s.keepIdle
		if idle == 0 {
			idle = defaultKeepIdle
		}
	}
	s.options.KeepAlive.Idle = idle
	s.live(func(c *conn) { c.tcp.SetKeepAlive(idle, r.host.clock()) })
	return complete(outcome{})
}

// setLinger takes {onoff=1, linger=seconds}. Only a linger of 0, which makes close reset, can be set on a connection that is open.
func (r *runner) setLinger(v value, s *socket) attempt {
	s.linger = nil
	if v.fields["onoff"].n == 0 {
		return complete(outcome{})
	}
	d := time.Duration(v.fields["linger"].n) * time.Second
	s.linger = &d
	s.options.Linger = d
	return complete(outcome{})
}

// getsockopt compares the value with the one in the script and returns 0 if it is the same.
func (r *runner) getsockopt(c *call, s *socket) (attempt, error) {
	name := c.arg(2)
	if len(name.names) != 1 {
		return nil, fmt.Errorf("the third argument of getsockopt must be the name of an option")
	}
	got := int64(0)
	switch name.names[0] {
	case "SO_ERROR":
		got = int64(s.connErr())
	case "TCP_MAXSEG":
		if s.conn == nil {
			return complete(fail(syscall.ENOTCONN)), nil
		}
		got = int64(s.conn.describe().SendMSS)
	case "SO_RCVBUF":
		got = int64(r.effective(s).RecvBuffer)
	case "SO_SNDBUF":
		got = int64(r.effective(s).SendBuffer)
	default:
		return complete(fail(syscall.ENOPROTOOPT)), nil
	}
	want := c.arg(3)
	if want.kind == valueList && len(want.list) == 1 && want.list[0].kind == valueNames {
		if name := unix.ErrnoName(syscall.Errno(got)); name != want.list[0].names[0] {
			return nil, fmt.Errorf("%s: the value is %d %s", c.text, got, name)
		}
	} else if want.kind != valueAny && got != want.number() {
		return nil, fmt.Errorf("%s: the value is %d", c.text, got)
	}
	return complete(outcome{}), nil
}

// effective returns the configuration that the socket's connection has or will have.
func (r *runner) effective(s *socket) tcp.Config {
	if s.cfg != nil {
		return *s.cfg
	}
	cfg, err := r.host.core.NewConfig(s.options)
	if err != nil {
		return s.options
	}
	return *cfg
}
