package daemon

import (
	"net/http"
	"time"

	"github.com/xdpstack/xdpstack/internal/snapshot"
)

// endpoints says what is answered on the control socket, whatever the App is.
func (d *Daemon) endpoints() {
	d.Control.HandleJSON("GET /stats", func(*http.Request) (any, error) { return snapshot.Take(d.Stack, time.Now()) })
}
