package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xdpstack/xdpstack/internal/fdpass"
	"github.com/xdpstack/xdpstack/internal/reserve"
)

// PortRange are ports from First to Last.
type PortRange struct{ First, Last uint16 }

// ParsePorts reads "80" or "8000-8100".
func ParsePorts(s string) (PortRange, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(first, 10, 16)
	b, e := strconv.ParseUint(last, 10, 16)
	if err != nil || e != nil || a == 0 || b < a {
		return PortRange{}, fmt.Errorf("%q: want a port, or a range such as 8000-8100", s)
	}
	return PortRange{uint16(a), uint16(b)}, nil
}

// checkPort says whether a client may have a port of the kernel's.
func (p *policy) checkPort(r portRequest) error {
	if r.Protocol != reserve.TCP && r.Protocol != reserve.UDP {
		return fmt.Errorf("protocol %d has no ports that are given", r.Protocol)
	}
	if !r.Address.Is4() {
		return fmt.Errorf("%v is no IPv4 address", r.Address)
	}
	for _, allowed := range p.Ports {
		if allowed.First <= r.Port && r.Port <= allowed.Last {
			return nil
		}
	}
	return fmt.Errorf("port %d is not one of those that may be taken: start the broker with --ports %[1]d", r.Port)
}

// lendPorts reserves ports for a client that shares the kernel's addresses, until it ends.
func (b *Broker) lendPorts(c *net.UnixConn, who peer) {
	for {
		body, files, err := fdpass.Receive(c, portLimits)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				b.log.Warn("cut off", "pid", who.pid, "because", err)
			}
			return
		}
		fdpass.CloseAll(files)
		var r portRequest
		err = decode(body, &r)
		if err == nil {
			err = b.policy.checkPort(r)
		}
		if err == nil {
			err = lendPort(c, r)
		}
		if err != nil {
			b.log.Warn("refused", "pid", who.pid, "port", r.Port, "because", err)
			b.refuse(c, err)
			_ = c.SetDeadline(time.Time{})
			continue
		}
		b.log.Info("given", "pid", who.pid, "protocol", r.Protocol, "address", r.Address, "port", r.Port)
	}
}

// lendPort reserves a port and sends the socket. The client's copy is the only one that stays.
func lendPort(c *net.UnixConn, r portRequest) error {
	p, err := reserve.Bind(r.Protocol, r.Address, r.Port)
	if err != nil {
		return err
	}
	defer p.Close()
	f, err := p.File()
	if err != nil {
		return err
	}
	defer f.Close()
	return fdpass.Send(c, []byte("{}"), []*os.File{f})
}

// Port asks the broker that has opened the interface for a port of the kernel's: a socket that is bound to it.
func (c *Client) Port(protocol uint8, a netip.Addr, port uint16) (*os.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		return nil, errors.New("broker: it has opened no interface for this process")
	}
	f, err := c.port(portRequest{Protocol: protocol, Address: a, Port: port})
	if err != nil {
		return nil, fmt.Errorf("broker: %s: port %d of %v: %w", c.Socket, port, a, err)
	}
	return f, nil
}

func (c *Client) port(r portRequest) (*os.File, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	_ = c.conn.SetDeadline(time.Now().Add(requestTime))
	if err := fdpass.Send(c.conn, body, nil); err != nil {
		return nil, fmt.Errorf("%w: has it ended? A new port is had after a restart of this process", err)
	}
	body, files, err := fdpass.Receive(c.conn, fdpass.Limits{Body: answerLimits.Body, Files: 1})
	if err != nil {
		return nil, err
	}
	var a answer
	if err = json.Unmarshal(body, &a); err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err == nil && len(files) != 1 {
		err = errors.New("it sends no socket")
	}
	if err != nil {
		fdpass.CloseAll(files)
		return nil, err
	}
	return files[0], nil
}
