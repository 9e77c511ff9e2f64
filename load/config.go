package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Mode is what a run does with its connections.
type Mode uint8

// The modes.
const (
	// Requests makes requests on connections that are opened beforehand and stay.
	Requests Mode = iota
	// Connections opens a connection for each request, and closes it after the response.
	Connections
	// Hold opens connections, keeps them, and makes a request on each every Config.Interval.
	Hold
	// Upload, Download and Duplex send as much as the target takes, read as much as it sends, or both. TCP only.
	Upload
	Download
	Duplex
	numModes
)

var modeNames = [numModes]string{"requests", "connections", "hold", "upload", "download", "duplex"}

// String returns the mode's name.
func (m Mode) String() string {
	if m < numModes {
		return modeNames[m]
	}
	return "unknown"
}

// ModeNames returns the names of all modes.
func ModeNames() []string { return modeNames[:] }

// ParseMode returns the mode of a name.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("%w: no mode %q: there are %v", ErrConfig, name, modeNames)
}

func (m Mode) streams() bool { return m >= Upload }

// Protocol is what requests and responses are.
type Protocol uint8

// The protocols.
const (
	HTTP Protocol = iota // HTTP/1.1
	Echo                 // over TCP: the response is the request (RFC 862)
	UDP                  // one datagram for another
)

// String returns the protocol's name.
func (p Protocol) String() string { return [...]string{"http", "tcp", "udp"}[p%3] }

// Target is what requests are sent to.
type Target struct {
	Addr   netip.AddrPort
	Weight int    // how many of all connections go to it, in proportion to the others'; default 1
	Host   string // of the Host field, and the server's name of TLS; default Addr
	Path   string // with the query, if there is one; default "/"
}

// Field is a header field of requests.
type Field struct{ Name, Value string }

// Request is what all HTTP requests have in common.
type Request struct {
	Method string  // default GET
	Header []Field // beside Host, Content-Length and Connection; a Host here is used instead of the target's
	Body   []byte
}

// Config says what a run does. A zero field means the default that is given with it.
type Config struct {
	Mode     Mode
	Protocol Protocol
	Targets  []Target // connections go to them in turn
	Request  Request  // HTTP
	Payload  []byte   // of an echo or a datagram; default Size bytes
	Size     int      // default 64
	// NoPayload has a Connections run over TCP open connections and close them at once.
	NoPayload bool
	TLS       *tls.Config // HTTP over TLS, with crypto/tls: the requests are made by goroutines then, not on the shards; nil: without

	// Phases have arrivals come at a rate whatever the target does: an open loop. Latencies count from the intended start. Without phases
	// the loop is closed: each of Connections makes a request when it has the response to the last, so a slow target is asked less.
	Phases   []Phase
	Arrivals Arrivals
	// Duration is how long a closed loop goes on; default until Run.Stop. The phases say it of an open one.
	Duration time.Duration
	WarmUp   time.Duration // what begins so early is not counted; it is a part of Duration or of the phases
	Count    uint64        // requests that are begun, at most; default no bound. Streams: connections are not counted
	Think    time.Duration // closed loop: how long a connection waits after a response, to a millisecond; default not at all
	Interval time.Duration // Hold: between the requests of a connection; default none are made

	// Connections are those of a closed loop; those that a Requests or Hold run opens; and otherwise how many may be open at a time.
	// Default 64, and 16384 of an open loop of Connections. UDP: ports.
	Connections int
	Pipeline    int // requests that may be under way on a connection; default 1, and 1024 of an open loop of numbered datagrams
	// MaxOpening is how many connections of a shard may be on their way at a time, where they are opened beforehand; default 256.
	MaxOpening int
	MaxWaiting int  // arrivals of a shard that may wait for a free connection; default 1048576
	Reset      bool // connections are ended with a reset instead of a FIN, and leave no TIME-WAIT behind

	ConnectTimeout time.Duration // default 5 s
	RequestTimeout time.Duration // default 10 s
	Drain          time.Duration // how long requests under way are waited for at the end; default long enough for all to time out

	StartAt  time.Time // requests begin at this time of day at the earliest; connections are opened before; default at once
	Spread   bool      // connections come from each of the stack's further addresses in turn; default from its first
	FailFast bool      // the first failed request ends the run
	Seed     uint64    // of Poisson arrivals; default 1

	// Worker and Workers have this run be one of several that make the load together: of Phases, Count and Connections each does its part.
	// Default 0 of 1.
	Worker, Workers int

	numbered bool // datagrams begin with a number
}

// ErrConfig is wrapped by every error about a Config.
var ErrConfig = errors.New("load: bad configuration")

const (
	defaultConnections    = 64
	defaultOpenAtATime    = 16384
	defaultPayload        = 64
	defaultMaxOpening     = 256
	defaultMaxWaiting     = 1 << 20
	defaultConnectTimeout = 5 * time.Second
	defaultRequestTimeout = 10 * time.Second
	drainMore             = 10 * time.Millisecond // what a time-out may come late

	maxConnections = 1 << 24
	maxPipeline    = 1 << 10
	maxRate        = 1e9
	maxPayload     = 64 << 20
)

// open reports whether arrivals come by a schedule.
func (c *Config) open() bool { return len(c.Phases) > 0 || c.Mode == Hold && c.Interval > 0 }

func (c *Config) withDefaults() (Config, error) {
	d := *c
	d.numbered = d.Protocol == UDP && d.Payload == nil && (d.Size == 0 || d.Size >= numberLen)
	if d.numbered && d.open() {
		setDefault(&d.Pipeline, openPipeline)
	}
	setDefault(&d.Pipeline, 1)
	setDefault(&d.MaxOpening, defaultMaxOpening)
	setDefault(&d.MaxWaiting, defaultMaxWaiting)
	setDefault(&d.ConnectTimeout, defaultConnectTimeout)
	setDefault(&d.RequestTimeout, defaultRequestTimeout)
	setDefault(&d.Drain, d.RequestTimeout+drainMore)
	setDefault(&d.Workers, 1)
	setDefault(&d.Seed, 1)
	setDefault(&d.Request.Method, "GET")
	if d.Payload == nil && !d.NoPayload {
		setDefault(&d.Size, defaultPayload)
		if d.Size < 1 || d.Size > maxPayload {
			return d, fmt.Errorf("%w: a payload of %d bytes is not within 1 to %d", ErrConfig, d.Size, maxPayload)
		}
		d.Payload = make([]byte, d.Size)
	}
	if d.Mode == Connections && d.open() {
		setDefault(&d.Connections, defaultOpenAtATime)
	}
	setDefault(&d.Connections, defaultConnections)
	if err := d.check(); err != nil {
		return d, err
	}
	return d, d.checkTimes()
}

// Check finds the mistakes of a configuration that Start would refuse.
func Check(cfg Config) error {
	full, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	_, _, err = full.content()
	return err
}

func (c *Config) check() error {
	switch {
	case c.Mode >= numModes:
		return fmt.Errorf("%w: no mode %d", ErrConfig, c.Mode)
	case c.Protocol > UDP:
		return fmt.Errorf("%w: no protocol %d", ErrConfig, c.Protocol)
	case len(c.Targets) == 0:
		return fmt.Errorf("%w: there is no target", ErrConfig)
	case c.Mode.streams() && c.Protocol != Echo:
		return fmt.Errorf("%w: %v is for TCP, not %v: large requests and responses do the same with HTTP", ErrConfig, c.Mode, c.Protocol)
	case c.Mode.streams() && len(c.Phases) > 0:
		return fmt.Errorf("%w: %v goes as fast as it can, it has no rate", ErrConfig, c.Mode)
	case c.Protocol == UDP && c.Mode != Requests:
		return fmt.Errorf("%w: UDP has no connections, so no mode %v", ErrConfig, c.Mode)
	case c.TLS != nil && (c.Protocol != HTTP || c.Mode == Hold):
		return fmt.Errorf("%w: TLS is for HTTP, and not for the mode hold", ErrConfig)
	case c.NoPayload && (c.Mode != Connections || c.Protocol != Echo):
		return fmt.Errorf("%w: only TCP connections that are opened and closed have no payload", ErrConfig)
	case !c.NoPayload && len(c.Payload) == 0:
		return fmt.Errorf("%w: the payload is empty", ErrConfig)
	case c.Connections < 1 || c.Connections > maxConnections:
		return fmt.Errorf("%w: %d connections are not within 1 to %d", ErrConfig, c.Connections, maxConnections)
	case c.Pipeline < 1 || c.Pipeline > maxPipeline:
		return fmt.Errorf("%w: a pipeline of %d is not within 1 to %d", ErrConfig, c.Pipeline, maxPipeline)
	case c.Pipeline > 1 && c.TLS != nil:
		return fmt.Errorf("%w: there is no pipeline over TLS", ErrConfig)
	case c.Pipeline > 1 && c.Mode != Requests && c.Mode != Hold:
		return fmt.Errorf("%w: a connection of the mode %v has no pipeline", ErrConfig, c.Mode)
	case c.Protocol == UDP && !c.numbered && c.Pipeline > 1:
		return fmt.Errorf("%w: datagrams with a payload of the user's have no numbers: one may be under way on a port, not %d", ErrConfig,
			c.Pipeline)
	case c.Protocol == UDP && c.Think > 0:
		return fmt.Errorf("%w: there is no think time with UDP", ErrConfig)
	case c.MaxOpening < 1 || c.MaxWaiting < 1:
		return fmt.Errorf("%w: MaxOpening %d and MaxWaiting %d must be above 0", ErrConfig, c.MaxOpening, c.MaxWaiting)
	case c.Workers < 1 || c.Worker < 0 || c.Worker >= c.Workers:
		return fmt.Errorf("%w: worker %d of %d is not possible: they count from 0", ErrConfig, c.Worker, c.Workers)
	}
	for i, t := range c.Targets {
		if !t.Addr.IsValid() || !t.Addr.Addr().Is4() || t.Addr.Port() == 0 || t.Weight < 0 || t.Weight > maxWeight {
			return fmt.Errorf("%w: target %d, %v with weight %d: want an IPv4 address, a port, and a weight up to %d", ErrConfig, i, t.Addr,
				t.Weight, maxWeight)
		}
	}
	return nil
}

func (c *Config) checkTimes() error {
	for i, p := range c.Phases {
		if p.For <= 0 || !(p.From >= 0) || !(p.To >= 0) || p.From > maxRate || p.To > maxRate {
			return fmt.Errorf("%w: phase %d, from %g/s to %g/s in %v: want rates up to %g/s and a time", ErrConfig, i, p.From, p.To, p.For,
				maxRate)
		}
	}
	for _, d := range []time.Duration{c.Duration, c.WarmUp, c.Think, c.Interval, c.ConnectTimeout, c.RequestTimeout, c.Drain} {
		if d < 0 {
			return fmt.Errorf("%w: the time %v is negative", ErrConfig, d)
		}
	}
	switch whole := c.whole(); {
	case whole > 0 && c.WarmUp >= whole:
		return fmt.Errorf("%w: the warm-up of %v is all of the run, of %v", ErrConfig, c.WarmUp, whole)
	case c.Mode == Hold && len(c.Phases) > 0:
		return fmt.Errorf("%w: the rate of the mode hold follows from Connections and Interval", ErrConfig)
	case c.open() && c.Think > 0:
		return fmt.Errorf("%w: think time is for a closed loop; a rate leaves no room for it", ErrConfig)
	}
	return nil
}

// whole returns how long requests are begun; 0: without end.
func (c *Config) whole() time.Duration {
	if len(c.Phases) > 0 {
		return length(c.Phases)
	}
	return c.Duration
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
