package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/xdpstack/xdpstack/afxdp"
	"github.com/xdpstack/xdpstack/bpf"
	"github.com/xdpstack/xdpstack/internal/addrset"
	"github.com/xdpstack/xdpstack/internal/fdpass"
)

// Client asks a broker for an interface.
type Client struct {
	Socket    string          // of the broker; default DefaultSocket
	Addresses []addrset.Range // that are going to be used

	mu   sync.Mutex // held while something is asked for and answered
	conn *net.UnixConn
}

// patience is how long a broker may take to open an interface.
const patience = 30 * time.Second

// Open does what afxdp.Open does, by way of the broker. It is called once. The interface is the client's until Close, or its process ends.
func (c *Client) Open(name string, o afxdp.Options, steer bpf.Config) (*afxdp.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return nil, errors.New("broker: one interface is open already")
	}
	if c.Socket == "" {
		c.Socket = DefaultSocket
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: c.Socket, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("broker: %w: is xdpstack broker running, with this socket?", err)
	}
	i, err := c.open(conn, &Request{Version: version, Interface: name, Addresses: c.Addresses, Options: o, Steer: steer})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("broker: %s: %w", c.Socket, err), conn.Close())
	}
	c.conn = conn
	return i, nil
}

func (c *Client) open(conn *net.UnixConn, r *Request) (*afxdp.Interface, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	r.Options.Transferable = true
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	sent := fdpass.Send(conn, body, nil) // a broker that refuses says why, and does not read
	body, files, err := fdpass.Receive(conn, answerLimits)
	if err != nil && sent != nil {
		return nil, sent
	}
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("it refuses user %d: start it with --allow-user %d", os.Geteuid(), os.Geteuid())
	}
	if err != nil {
		return nil, err
	}
	fdpass.CloseAll(files)
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if a.Error != "" {
		return nil, errors.New(a.Error)
	}
	h, err := afxdp.ReceiveHandover(conn)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	i, err := afxdp.Adopt(h)
	if err != nil {
		return nil, err
	}
	return i, conn.SetDeadline(time.Time{})
}

// Close tells the broker that the interface is not used any more. The interface is to be closed before.
func (c *Client) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}
