// Command xdpstack serves, fetches and measures through a TCP/IP stack of its own, on AF_XDP. "xdpstack help" tells more.
package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	// The first signal asks for an orderly end; after it the default action is back, so that a second one ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, own: true}))
}
