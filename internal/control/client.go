package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Process is a running process that has a control socket.
type Process struct {
	Info
	Path string `json:"path"`
}

// maxAnswer bounds an answer in bytes: a socket at a path that the user typed may be anybody's.
const maxAnswer = 64 << 20

// List returns the running processes in Dir by pid, and removes the sockets that dead ones left behind. A process that does not
// answer within a second is listed without its command.
func List() ([]Process, error) {
	found, err := sockets()
	if err != nil {
		return nil, err
	}
	all := make([]Process, 0, len(found))
	for pid, path := range found {
		if abandoned(path) {
			_ = os.Remove(path) // somebody else may have done so
			continue
		}
		p := Process{Info: Info{PID: pid}, Path: path}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if body, err := get(ctx, path, "/info"); err == nil {
			_ = json.Unmarshal(body, &p.Info) // the pid from the name remains
		}
		cancel()
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Process) int { return cmp.Compare(a.PID, b.PID) })
	return all, nil
}

// Get returns the counters of the process behind a control socket, as JSON.
func Get(ctx context.Context, path string) (json.RawMessage, error) { return get(ctx, path, "/stats") }

func get(ctx context.Context, path, what string) ([]byte, error) {
	var dialer net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://xdpstack"+what, nil)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("control: no process has its control socket at %s: %w", path, err)
		}
		return nil, fmt.Errorf("control: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("control: %s: %w", path, err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("control: %s: the process answered: %s", path, strings.TrimSpace(string(body)))
	case !json.Valid(body):
		return nil, fmt.Errorf("control: %s: the answer is not JSON: is it an xdpstack process?", path)
	}
	return body, nil
}
