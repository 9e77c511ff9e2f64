package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"github.com/xdpstack/xdpstack/internal/web"
)

// topModel is the state of the terminal. Bubble Tea calls its methods one after the other.
type topModel struct {
	ask      func(ctx context.Context, order, filter string) (web.Live, error)
	interval time.Duration

	now           *web.Live // nil: not asked yet
	before        *web.Live
	rates         *web.Rates // nil: not known yet
	failed        error
	round         int // counts the timers: those of an earlier round are out of date
	order, filter string
	width, height int
	paused, help  bool
	typing        bool // a filter is being typed
	typed         string
}

type (
	lookMsg struct {
		live  web.Live
		err   error
		round int
	}
	tickMsg int // the round
)

func newTopModel(c *topCommand, ask func(ctx context.Context, order, filter string) (web.Live, error)) *topModel {
	return &topModel{ask: ask, interval: c.interval, order: c.order, filter: c.filter}
}

// Init asks for the first look.
func (m *topModel) Init() tea.Cmd { return m.look() }

// look asks, and makes what was asked before out of date.
func (m *topModel) look() tea.Cmd {
	m.round++
	round, order, filter := m.round, m.order, m.filter
	return func() tea.Msg {
		l, err := m.ask(context.Background(), order, filter)
		return lookMsg{l, err, round}
	}
}

func (m *topModel) tick() tea.Cmd {
	round := m.round
	return tea.Tick(m.interval, func(time.Time) tea.Msg { return tickMsg(round) })
}

// Update takes a key, a new size, an answer, or the end of an interval.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		return m, m.keys(msg)
	case tickMsg:
		if int(msg) == m.round && !m.paused {
			return m, m.look()
		}
	case lookMsg:
		if msg.round != m.round {
			return m, nil
		}
		m.take(msg)
		return m, m.tick()
	}
	return m, nil
}

// take shows an answer. One that was asked for early, because of a key, has the rates of the answer before.
func (m *topModel) take(msg lookMsg) {
	m.failed = msg.err
	if msg.err != nil {
		return
	}
	now := msg.live
	if m.before == nil {
		m.before = &now
	}
	m.now = &now
	if now.Time.Sub(m.before.Time) < m.interval/2 && now.PID == m.before.PID && now.Started.Equal(m.before.Started) {
		return
	}
	m.rates = nil
	if r, ok := web.RatesOf(m.before, &now); ok {
		m.rates = &r
	}
	m.before = &now
}

// keys takes what was typed. Keys that come at once, as over a slow line, come as one.
func (m *topModel) keys(k tea.KeyMsg) (last tea.Cmd) {
	if k.Type != tea.KeyRunes {
		k.Runes = []rune{0}
	}
	for _, r := range k.Runes {
		one := k
		if k.Type == tea.KeyRunes {
			one.Runes = []rune{r}
		}
		var cmd tea.Cmd
		if m.typing {
			cmd = m.typeKey(one)
		} else {
			cmd = m.key(one)
		}
		if cmd != nil {
			last = cmd // an earlier question is out of date
		}
	}
	return last
}

func (m *topModel) key(k tea.KeyMsg) tea.Cmd {
	switch k.String() {
	case "q", "ctrl+c":
		return tea.Quit
	case "p", " ":
		if m.paused = !m.paused; !m.paused {
			return m.look()
		}
	case "s":
		m.order = web.Orders[(slices.Index(web.Orders, m.order)+1)%len(web.Orders)]
		return m.look()
	case "/":
		m.typing, m.typed = true, m.filter
	case "esc":
		if m.help {
			m.help = false
		} else if m.filter != "" {
			m.filter = ""
			return m.look()
		}
	case "?", "h":
		m.help = !m.help
	}
	return nil
}

// typeKey takes a key of a filter.
func (m *topModel) typeKey(k tea.KeyMsg) tea.Cmd {
	switch k.Type {
	case tea.KeyCtrlC:
		return tea.Quit
	case tea.KeyEnter:
		m.typing, m.filter = false, m.typed[:min(len(m.typed), 200)] // more is refused
		return m.look()
	case tea.KeyEsc:
		m.typing = false
	case tea.KeyBackspace:
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
	case tea.KeySpace:
		m.typed += " "
	case tea.KeyRunes:
		m.typed += string(k.Runes)
	}
	return nil
}

const topHelp = `q          quit
p, space   stop, and go on
s          sort connections by the next of: %s
/          show only connections with the words that are typed
esc        show all connections again
? h        this, and back

Rates are of the last interval. The busiest connections are those of the first 4096, where there are more.
`

// View is what is shown.
func (m *topModel) View() string {
	height := max(m.height-1, 1) // the last line is for keys
	var text string
	switch {
	case m.help:
		text = fmt.Sprintf(topHelp, strings.Join(web.Orders, ", "))
	case m.rates == nil:
		text = "asking…\n" // there are rates after the second answer
	default:
		text = topText(m.now, m.rates, m.order, height)
	}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines = lines[:min(len(lines), height)]
	for len(lines) < height {
		lines = append(lines, "")
	}
	return strings.Join(append(lines, m.foot()), "\n")
}

func (m *topModel) foot() string {
	const reverse, normal = "\x1b[7m", "\x1b[0m"
	switch {
	case m.typing:
		return reverse + " only connections with: " + m.typed + "▏" + normal
	case m.failed != nil:
		return reverse + " " + strings.ReplaceAll(m.failed.Error(), "\n", " ") + " " + normal
	}
	text := " q quit  s sort: " + m.order + "  p stop  / filter  ? help "
	if m.paused {
		text = " stopped: p goes on  q quit "
	}
	if m.filter != "" {
		text = " only: " + m.filter + " " + text
	}
	return reverse + text + normal
}
