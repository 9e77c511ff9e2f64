package main

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/stack"
)

type ncCommand struct {
	streams
	link    linkFlags
	udp     bool
	timeout time.Duration
	wait    time.Duration
}

func newNC(io streams) *cobra.Command {
	n := &ncCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "nc -i IFACE -a ADDR/LEN HOST:PORT",
		Short: "Connect to a port through the stack: standard input goes there, what comes back to standard output",
		Long: `Connects through the stack and carries bytes both ways: standard input to the peer, then the end of it as a
FIN; what the peer sends to standard output. It ends when the peer has closed. With --udp each read of the
input is a datagram, and it ends when nothing has come back for the time of --wait.`,
		Example: "  echo hello | sudo xdpstack nc -i eth0 -a 192.0.2.11/24 192.0.2.10:7\n" +
			"  sudo xdpstack nc -i eth0 -a 192.0.2.11/24 --udp 192.0.2.10:7 <datagram",
		Args: exactly(1, "HOST:PORT"),
		RunE: func(cmd *cobra.Command, args []string) error { return n.run(cmd.Context(), args[0]) },
	}
	n.link.register(cmd)
	n.link.registerSource(cmd)
	cmd.Flags().BoolVarP(&n.udp, "udp", "u", false, "UDP instead of TCP")
	cmd.Flags().DurationVar(&n.timeout, "timeout", 10*time.Second, "bound on the connecting")
	cmd.Flags().DurationVarP(&n.wait, "wait", "w", time.Second, "with --udp, how long to wait for answers after the input's end")
	return cmd
}

func (n *ncCommand) run(ctx context.Context, target string) (err error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" {
		return usagef("%q is not HOST:PORT", target)
	}
	if p, err := strconv.ParseUint(port, 10, 16); err != nil || p == 0 {
		return usagef("port %q is not a number within 1 to 65535", port)
	}
	cfg, err := n.link.config()
	if err != nil {
		return err
	}
	st, err := stack.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	network := "tcp"
	if n.udp {
		network = "udp"
	}
	dialCtx, cancel := context.WithTimeout(ctx, n.timeout)
	dialer := &stack.Dialer{Stack: st, Spread: true}
	c, err := dialer.DialContext(dialCtx, network, target)
	cancel()
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	err = n.carry(c)
	if ctx.Err() != nil {
		return nil // interrupted: that is an ordinary end
	}
	return err
}

// carry copies both ways until the peer has closed.
func (n *ncCommand) carry(c net.Conn) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(plainWriter{c}, n.in)
		if half, ok := c.(interface{ CloseWrite() error }); ok && err == nil {
			err = half.CloseWrite()
		}
		if n.udp && err == nil {
			err = c.SetReadDeadline(time.Now().Add(n.wait))
		}
		sent <- err
	}()
	_, err := io.Copy(n.out, plainReader{c})
	var timeout net.Error
	if n.udp && errors.As(err, &timeout) && timeout.Timeout() {
		err = nil
	}
	select {
	case sendErr := <-sent:
		return errors.Join(err, sendErr)
	default: // the peer closed first; what the input still has, nobody wants
		return err
	}
}

// plainReader and plainWriter hide other methods, so that io.Copy reads and writes piece by piece: with UDP a piece is a datagram.
type plainReader struct{ io.Reader }
type plainWriter struct{ io.Writer }
