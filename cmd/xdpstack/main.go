// Command xdpstack serves, fetches and measures through a TCP/IP stack of its own, on AF_XDP. "xdpstack help" tells more.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	os.Exit(run(untilSignal(), os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, own: true}))
}

// untilSignal returns a context that the first signal ends: an orderly end is asked for. Before anybody sees that, the default action is
// back, so that a second signal ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go func() {
		first := <-signals
		signal.Stop(signals)
		cancel()
		select {
		case <-signals: // it came before the default action was back
			_ = unix.Kill(unix.Getpid(), first.(unix.Signal))
		default:
		}
	}()
	return ctx
}
