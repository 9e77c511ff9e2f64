package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/xdpstack/xdpstack/stack"
)

type getCommand struct {
	streams
	link    linkFlags
	output  string
	include bool
	fail    bool
	timeout time.Duration
}

func newGet(io streams) *cobra.Command {
	g := &getCommand{streams: io}
	cmd := &cobra.Command{
		Use:   "get -i IFACE -a ADDR/LEN URL",
		Short: "Fetch a URL through the stack",
		Long: `Fetches a URL with Go's net/http over connections of this stack, and writes the body. The address is the
stack's own on the interface's network; the kernel's stack is not involved.`,
		Example: "  sudo xdpstack get -i eth0 -a 192.0.2.11/24 http://192.0.2.10/\n" +
			"  sudo xdpstack get -i eth0 -a 192.0.2.11/24 --gateway 192.0.2.1 -o page.html https://example.org/",
		Args: exactly(1, "the URL"),
		RunE: func(cmd *cobra.Command, args []string) error { return g.run(cmd.Context(), args[0]) },
	}
	g.link.register(cmd)
	g.link.registerSource(cmd)
	cmd.Flags().StringVarP(&g.output, "output", "o", "", "write the body to a file")
	cmd.Flags().BoolVar(&g.include, "include", false, "write the status line and header first")
	cmd.Flags().BoolVarP(&g.fail, "fail", "f", false, "exit with 1 on a status of 400 or more")
	cmd.Flags().DurationVar(&g.timeout, "timeout", time.Minute, "bound on the whole transfer; 0 for none")
	return cmd
}

func (g *getCommand) run(ctx context.Context, target string) (err error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("%q is not a URL like http://192.0.2.10/", target)
	}
	cfg, err := g.link.config()
	if err != nil {
		return err
	}
	if g.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, g.timeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return usageError{err}
	}
	req.Header.Set("User-Agent", "xdpstack/"+readVersion().Version)
	st, err := stack.Open(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	dialer := &stack.Dialer{Stack: st, Spread: true}
	client := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := g.write(resp); err != nil {
		return err
	}
	if g.fail && resp.StatusCode >= 400 {
		return fmt.Errorf("%s: %s", target, resp.Status)
	}
	return nil
}

func (g *getCommand) write(resp *http.Response) error {
	out := g.out
	if g.output != "" {
		f, err := os.Create(g.output)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	if g.include {
		fmt.Fprintf(out, "%s %s\r\n", resp.Proto, resp.Status)
		if err := resp.Header.Write(out); err != nil {
			return err
		}
		fmt.Fprint(out, "\r\n")
	}
	_, err := io.Copy(out, resp.Body)
	return err
}
