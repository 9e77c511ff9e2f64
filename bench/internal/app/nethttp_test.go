package app

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func TestNetHTTPSendsTheSameResponse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go ServeNetHTTP(ln)
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		c.Write(KeepAlive)
		got := make([]byte, len(Response))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, Response) {
			t.Fatalf("got %q, %v, want %q", got, err, Response)
		}
	}
}
