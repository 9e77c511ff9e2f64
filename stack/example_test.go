package stack_test

import (
	"encoding/binary"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"

	"github.com/xdpstack/xdpstack/stack"
)

// Serve HTTP on an address of the stack's own, with net/http as it is.
func Example() {
	s, err := stack.Open(stack.Config{Interface: "eth0", Address: netip.MustParsePrefix("192.0.2.10/24")})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	ln, err := s.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(ln, http.FileServer(http.Dir("/srv/www"))))
}

// timeServer answers each connection with the time and closes it. The answer is written into the frame that it is sent from.
type timeServer struct{}

func (timeServer) Opened(c *stack.Conn) {
	if b := c.Reserve(8); len(b) == 8 {
		binary.BigEndian.PutUint64(b, uint64(c.Now()))
		c.Commit(8)
	}
	c.Close()
}

func (timeServer) Received(*stack.Conn, []byte) {}
func (timeServer) Writable(*stack.Conn)         {}
func (timeServer) PeerClosed(*stack.Conn)       {}
func (timeServer) Closed(*stack.Conn, error)    {}

// Write an answer where it is sent from.
func ExampleConn_Reserve() {
	s, err := stack.Open(stack.Config{Interface: "eth0", Address: netip.MustParsePrefix("192.0.2.10/24")})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Handle(":37", timeServer{}); err != nil {
		log.Fatal(err)
	}
}

// Pass what comes in on one connection to another: as long as both are on one shard, the bytes stay in the memory that they came
// in.
func ExampleTCPConn_ReadFrom() {
	relay := func(s *stack.Stack, c net.Conn) error {
		backend, err := s.Dial("tcp", "192.0.2.20:80")
		if err != nil {
			return err
		}
		defer backend.Close()
		go func() {
			_, _ = io.Copy(c, backend)
			_ = c.Close()
		}()
		if _, err = io.Copy(backend, c); err != nil {
			return err
		}
		return backend.(*stack.TCPConn).CloseWrite()
	}
	_ = relay
}

// Send a head and a body with one message to the shard.
func ExampleTCPConn_WriteBuffers() {
	send := func(c *stack.TCPConn, head, body []byte) error {
		v := net.Buffers{head, body}
		_, err := c.WriteBuffers(&v)
		return err
	}
	_ = send
}
