package kernel

import (
	"net"

	"github.com/xdpstack/xdpstack/bench/internal/app"
)

// ServeGoNet answers HTTP requests as a Go program does that uses net and nothing else: a goroutine for each connection, which
// blocks in Read. It returns when the listener is closed.
func ServeGoNet(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go answer(c)
	}
}

func answer(c net.Conn) {
	defer c.Close()
	var h app.HTTP
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		for range h.Requests(buf[:n]) {
			if _, err := c.Write(app.Response); err != nil {
				return
			}
		}
		if h.Close {
			return
		}
	}
}
