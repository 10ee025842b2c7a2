package model

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"cloud-run-orchestrator/internal/emulator"

	"pgregory.net/rapid"
)

// machine draws what happens next.
type machine struct {
	w  *world
	rt *rapid.T
}

// begin draws the workflows and the processes.
func (m *machine) begin() {
	names := []string{"red", "green", "blue"}
	for _, name := range names {
		yaml := m.definition(name)
		m.w.apply(yaml)
		m.w.say("workflow %s", strings.ReplaceAll(strings.TrimSpace(yaml), "\n", " | "))
	}
	for i := range 4 {
		m.w.processes = append(m.w.processes, m.w.start(fmt.Sprintf("process %d", i), m.concurrency(), m.skew()))
	}
}

func (m *machine) concurrency() int {
	return rapid.SampledFrom([]int{1, 1, 1, 4}).Draw(m.rt, "concurrency")
}

func (m *machine) skew() time.Duration {
	return rapid.SampledFrom([]time.Duration{0, time.Hour, -time.Hour, 30 * 24 * time.Hour}).Draw(m.rt, "wall clock is wrong by")
}

// definition draws a workflow of one to three steps.
func (m *machine) definition(name string) string {
	draw := func(from, to int, what string) int { return rapid.IntRange(from, to).Draw(m.rt, what) }
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\n", name)
	if limit := draw(0, 3, "limit"); limit > 0 {
		fmt.Fprintf(&b, "max_executions: %d\n", limit)
	}
	b.WriteString("steps:\n")
	for i := range draw(1, 3, "steps") {
		job := rapid.SampledFrom([]string{"alpha", "alpha", "beta", "beta", "stubborn", "ghost"}).Draw(m.rt, "job")
		fmt.Fprintf(&b, "  s%d: {job: {name: %s}, tasks: {count: %d}", i, job, draw(1, 4, "tasks"))
		if i > 0 && rapid.Bool().Draw(m.rt, "needs") {
			fmt.Fprintf(&b, ", needs: [s%d]", draw(0, i-1, "need"))
		}
		if limit := draw(0, 4, "limit"); limit > 2 {
			fmt.Fprintf(&b, ", max_executions: %d", limit-2)
		}
		if tolerate := draw(0, 4, "tolerate"); tolerate > 2 {
			fmt.Fprintf(&b, ", tolerate: %d", tolerate-2)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// actions are everything that may happen. Several names of one thing make it more frequent.
func (m *machine) actions(n *atomic.Int64) map[string]func(*rapid.T) {
	all := map[string]func(){
		"trigger":              m.trigger,
		"launch in trouble":    m.launchInTrouble,
		"launch cut off":       func() { m.trigger(); m.tickCutOff() },
		"launch that freezes":  func() { m.trigger(); m.tickThatFreezes() },
		"tick":                 m.tick,
		"tick again":           m.tick,
		"ticks at once":        m.ticksAtOnce,
		"tick in trouble":      m.tickInTrouble,
		"tick in more trouble": m.tickInTrouble,
		"tick cut off":         m.tickCutOff,
		"tick that freezes":    m.tickThatFreezes,
		"thaw":                 m.thaw,
		"release":              m.release,
		"end":                  m.end,
		"end many":             m.endMany,
		"cancel":               m.cancel,
		"time":                 m.time,
		"more time":            m.time,
		"settle":               func() { m.w.advance(settleWindow + time.Minute); m.w.say("settle window and claims pass") },
		"platform":             m.platform,
		"strangers":            m.strangers,
		"restart":              m.restart,
	}
	list := map[string]func(*rapid.T){"": func(*rapid.T) { m.w.check() }}
	for name, f := range all {
		list[name] = func(*rapid.T) {
			n.Add(1)
			f()
		}
	}
	return list
}

func (m *machine) trigger() {
	workflow := rapid.SampledFrom([]string{"red", "green", "blue"}).Draw(m.rt, "workflow")
	key := rapid.SampledFrom([]string{"", "", "k1", "k2"}).Draw(m.rt, "key")
	var c *cut
	if rapid.IntRange(0, 4).Draw(m.rt, "cut") == 4 {
		c = m.cut(8)
	}
	m.w.trigger(workflow, key, c)
}

// launchInTrouble makes sure that what goes wrong with launches meets some.
func (m *machine) launchInTrouble() {
	m.trigger()
	m.w.disturb("RunJob", pick(m, troubles()["RunJob"][1:], "RunJob"))
	m.tickInTrouble()
}

func (m *machine) cut(most int) *cut {
	return &cut{
		at:     rapid.IntRange(1, most).Draw(m.rt, "at statement"),
		after:  rapid.Bool().Draw(m.rt, "done"),
		outage: rapid.Bool().Draw(m.rt, "outage"),
	}
}

// process draws one that can tick; nil where all are frozen.
func (m *machine) process() *process {
	idle := m.w.idle()
	if len(idle) == 0 {
		return nil
	}
	return pick(m, idle, "process")
}

// pick draws one of a list by its place, which is short to print.
func pick[T any](m *machine, list []T, what string) T {
	return list[rapid.IntRange(0, len(list)-1).Draw(m.rt, what)]
}

func (m *machine) tick() {
	if p := m.process(); p != nil {
		m.w.tickOf(p)
	}
}

func (m *machine) ticksAtOnce() {
	idle := m.w.idle()
	if len(idle) < 2 {
		return
	}
	n := rapid.IntRange(2, len(idle)).Draw(m.rt, "processes")
	words := m.trouble()
	m.w.say("%d ticks at once; %s", n, words)
	m.w.ticks(idle[:n])
	m.w.calm()
}

// trouble draws what goes wrong with the next calls.
func (m *machine) trouble() string {
	var words []string
	for _, method := range []string{"RunJob", "GetExecution", "ListExecutions", "ListTasks", "CancelExecution"} {
		kinds := troubles()[method]
		n := 4
		if method != "RunJob" {
			n = 2
			if rapid.IntRange(0, 3).Draw(m.rt, method+" is disturbed") < 3 {
				continue
			}
		}
		var names []string
		for range rapid.IntRange(0, n).Draw(m.rt, method+" disturbed") {
			d := pick(m, kinds, method)
			m.w.disturb(method, d)
			names = append(names, d.name)
		}
		if len(names) > 0 {
			words = append(words, method+": "+strings.Join(names, ", then "))
		}
	}
	if len(words) == 0 {
		return "all is well"
	}
	return strings.Join(words, "; ")
}

func (m *machine) tickInTrouble() {
	p := m.process()
	if p == nil {
		return
	}
	words := m.trouble()
	if rapid.IntRange(0, 9).Draw(m.rt, "storm") == 9 {
		m.w.disturbAll("RunJob", quota)
		words = "quota storm; " + words
	}
	_, err := p.tick()
	m.w.calm()
	m.w.say("tick of %s; %s → %v", p, words, oneLine(err))
}

func oneLine(err error) string {
	if err == nil {
		return "ok"
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

func (m *machine) tickCutOff() {
	p := m.process()
	if p == nil {
		return
	}
	c := m.cut(60)
	p.wire.set(c)
	_, err := p.tick()
	p.wire.set(nil)
	m.w.say("tick of %s, %s → %v", p, c, oneLine(err))
}

func (m *machine) tickThatFreezes() {
	p := m.process()
	if p == nil {
		return
	}
	kind := rapid.SampledFrom([]pauseKind{suspended, stopped, setBack}).Draw(m.rt, "how")
	words := m.trouble()
	where := rapid.SampledFrom([]string{"between claim and call", "before a transaction", "before it records names", "before a statement"}).Draw(m.rt, "where")
	switch where {
	case "between claim and call":
		p.freezeSends(kind)
	case "before a transaction": // which mostly writes what was decided
		p.freezeAt(rapid.IntRange(0, 1).Draw(m.rt, "transaction"), "begin", kind)
	case "before it records names":
		p.freezeAt(0, "cloud_run_execution_name = i.name", kind)
	default:
		p.freezeAt(rapid.IntRange(0, 50).Draw(m.rt, "statement"), "", kind)
	}
	p.begin()
	if _, ended := p.await(); ended {
		p.thaw()
		m.w.say("tick of %s, which ended before it could freeze %s; %s", p, where, words)
	} else {
		m.w.say("tick of %s freezes %s (%s); %s", p, where, kind, words)
	}
	m.w.calm()
}

func (m *machine) thaw() {
	var frozen []*process
	for _, p := range m.w.processes {
		if p.frozenTick() {
			frozen = append(frozen, p)
		}
	}
	if len(frozen) == 0 {
		m.tickThatFreezes()
		return
	}
	slow := pick(m, frozen, "process")
	if rapid.Bool().Draw(m.rt, "overtaken") {
		m.w.advance(claimLength + time.Second)
		m.w.say("claims expire")
		m.tick()
		m.w.check()
	}
	m.w.thawOne(slow)
}

func (m *machine) release() {
	n := m.w.heldCalls()
	if n == 0 {
		m.tickInTrouble()
		return
	}
	c := m.w.release(rapid.IntRange(0, n-1).Draw(m.rt, "call"))
	m.w.say("a %s that hung has its effect now", c.Method)
}

func (m *machine) execution(what string) *execution {
	live := m.w.truth.live()
	if len(live) == 0 {
		return nil
	}
	return pick(m, live, what)
}

func (m *machine) result() emulator.Result {
	return pick(m, []emulator.Result{{}, {}, {ExitCode: 3}, {Signal: 9}, {NoResult: true, Message: "the machine broke"}}, "result")
}

func (m *machine) end() {
	x := m.execution("execution")
	if x == nil {
		m.launchInTrouble()
		return
	}
	m.w.endExecution(x, m.result())
}

func (m *machine) endMany() {
	r := m.result()
	for _, x := range m.w.truth.live() {
		if rapid.IntRange(0, 3).Draw(m.rt, "ends") < 3 {
			m.w.endExecution(x, r)
		}
	}
}

func (m *machine) cancel() {
	var names []string
	byName := map[string]runRow{}
	for _, r := range m.w.ledger.runs {
		names = append(names, r.name())
		byName[r.name()] = r
	}
	if len(names) > 0 && rapid.IntRange(0, 2).Draw(m.rt, "really") == 2 {
		m.w.cancelRun(byName[rapid.SampledFrom(sorted(names)).Draw(m.rt, "run")])
	}
}

func (m *machine) time() {
	d := pick(m, []time.Duration{
		time.Second, 5 * time.Second, 20 * time.Second, 31 * time.Second, 45 * time.Second, 61 * time.Second, 90 * time.Second, 3 * time.Minute,
		4 * time.Minute, 11 * time.Minute, 90 * time.Minute, 25 * time.Hour, 48 * time.Hour,
	}, "time")
	m.w.advance(d)
	m.w.say("%s pass", d)
}

// platform is what Cloud Run or its users do to an execution behind our back.
func (m *machine) platform() {
	x := m.execution("execution")
	switch {
	case x == nil:
	case rapid.Bool().Draw(m.rt, "vanishes"):
		m.w.vanish(x)
	default:
		m.w.cancelOutside(x)
	}
}

func (m *machine) strangers() {
	job := rapid.SampledFrom([]string{"alpha", "beta"}).Draw(m.rt, "job")
	m.w.strangers(job, rapid.IntRange(1, historyKept+2).Draw(m.rt, "executions"), rapid.Bool().Draw(m.rt, "marked"))
}

func (m *machine) restart() {
	i := rapid.IntRange(0, len(m.w.processes)-1).Draw(m.rt, "process")
	m.w.restart(i, m.concurrency(), m.skew())
	m.w.say("%s is killed and starts again as %s", fmt.Sprintf("process %d", i), m.w.processes[i])
}
