package daemon

import (
	"os"

	"github.com/xdpstack/xdpstack/internal/privileges"
)

// drop gives up what was needed to open everything. What has to be done at the end with privileges is left to a guard.
func (d *Daemon) drop(cfg *Config) error {
	if cfg.Privileges == nil {
		return nil
	}
	if len(cfg.Guard) > 0 && os.Geteuid() == 0 && !cfg.Privileges.KeepsAll() {
		if err := d.startGuard(cfg.Guard); err != nil {
			return err
		}
	}
	r, err := privileges.Drop(*cfg.Privileges)
	if err != nil {
		return err
	}
	d.Log.Info("privileges given up", "now", r.String())
	return nil
}
