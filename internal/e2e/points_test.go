package e2e_test

import (
	"bufio"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// How much is tried; make crash-test sets these.
var (
	somePoints = flag.Int("crash.points", 4, "deaths to try, by chance; 0 is all: one at every point, and one at a later passage")
	pairs      = flag.String("crash.pairs", "", "pairs of deaths to try: all, or by chance for as long as this, as in 3m")
	pairsDone  = flag.String("crash.done", "", "file that remembers the pairs which held, so that they are not tried again")
	crashSeed  = flag.Uint64("crash.seed", 1, "chooses what is tried by chance")
	pointsFile = "../crash/points.txt"
	mostTries  = 3
)

// passages are how a scenario without a death passes a point: at which passage it has an effect first, and how many do.
type passages struct{ first, effects int }

// rehearse plays a scenario without a death. It leaves out the points where nothing happens in it: to die there is to die at another one.
func rehearse(t *testing.T, dbs *databases, s scenario) map[string]passages {
	t.Helper()
	m := newMortals(t, dbs, s.disturb)
	m.passed = filepath.Join(t.TempDir(), "passed")
	s.play(m)
	m.sound()
	file, err := os.Open(m.passed)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	times, found := map[string]int{}, map[string]passages{}
	note := func(point string, at int) {
		p, ok := found[point]
		if !ok {
			p.first = at
		}
		p.effects++
		found[point] = p
	}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		point, idle, _ := strings.Cut(lines.Text(), " ")
		times[point]++
		if operation, isAfter := strings.CutSuffix(point, ".after"); isAfter && idle == "" {
			note(operation+".before", times[point])
			note(point, 1)
		}
	}
	return found
}

// rehearsals plays all scenarios, and demands that they pass just the points that the code has.
func rehearsals(t *testing.T, dbs *databases) map[string]map[string]passages {
	t.Helper()
	all := map[string]map[string]passages{}
	var mu sync.Mutex
	t.Run("rehearsal", func(t *testing.T) {
		for _, s := range scenarios() {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				found := rehearse(t, dbs, s)
				mu.Lock()
				defer mu.Unlock()
				all[s.name] = found
			})
		}
	})
	passed := map[string]bool{}
	for _, found := range all {
		for point := range found {
			passed[point] = true
		}
	}
	for _, point := range knownPoints(t) {
		if !passed[point] {
			t.Errorf("no scenario passes %s; extend one", point)
		}
		delete(passed, point)
	}
	for point := range passed {
		t.Errorf("%s is passed, and %s does not have it", point, pointsFile)
	}
	return all
}

// death is where the process dies in a scenario, once or twice.
type death struct {
	scenario scenario
	at       []string
}

func pointOf(at string) string {
	point, _, _ := strings.Cut(at, ":")
	return point
}

// pair names the points without their passages, which differ from run to run.
func (d death) pair() string {
	points := make([]string, len(d.at))
	for i, at := range d.at {
		points[i] = pointOf(at)
	}
	return strings.Join(points, "+")
}

func (d death) String() string {
	return d.scenario.name + "/" + strings.ReplaceAll(strings.Join(d.at, "+"), ":", "@")
}

// TestADeathAnywhereLosesNothingAndRepeatsNothing kills a real process with SIGKILL at each point, starts it again, and demands the end that the scenario
// has without a death: each task done once, and its outcome known.
func TestADeathAnywhereLosesNothingAndRepeatsNothing(t *testing.T) {
	more := morePairs(t)
	dbs := &databases{t: t}
	found := rehearsals(t, dbs)
	if t.Failed() {
		return
	}
	random := rand.New(rand.NewPCG(*crashSeed, 1))
	singles := single(found, random)
	if *somePoints > 0 {
		random.Shuffle(len(singles), func(i, j int) { singles[i], singles[j] = singles[j], singles[i] })
		singles = singles[:min(*somePoints, len(singles))]
	}
	points := die(t, dbs, "one death", singles, func() bool { return true })
	for try := 0; *somePoints == 0 && try < mostTries; try++ { // a scenario comes to some points only where the machine is busy
		singles = slices.DeleteFunc(single(found, random), func(d death) bool { return points[pointOf(d.at[0])] })
		maps.Copy(points, die(t, dbs, "one more try", singles, func() bool { return true }))
	}
	for _, point := range knownPoints(t) {
		if *somePoints == 0 && !points[point] {
			t.Errorf("no process died at %s", point)
		}
	}
	if more == nil {
		return
	}
	both := double(found, rand.New(rand.NewPCG(*crashSeed, 2)))
	random.Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
	die(t, dbs, "two deaths", both, more())
}

// morePairs reads how many pairs are to be tried: the function that it gives begins the time for them. nil is none.
func morePairs(t *testing.T) func() (more func() bool) {
	t.Helper()
	switch *pairs {
	case "":
		return nil
	case "all":
		return func() func() bool { return func() bool { return true } }
	}
	length, err := time.ParseDuration(*pairs)
	if err != nil || length <= 0 {
		t.Fatalf("pairs %q: write sample, all, or a time as in 3m", *pairs)
	}
	return func() func() bool {
		end := time.Now().Add(length)
		return func() bool { return time.Now().Before(end) }
	}
}

// single lists two deaths for each point: at its first passage with an effect in one scenario, and where there are more passages, at a later one in another.
func single(found map[string]map[string]passages, random *rand.Rand) []death {
	first, later := map[string][]death{}, map[string][]death{}
	for _, s := range scenarios() {
		for _, point := range slices.Sorted(maps.Keys(found[s.name])) {
			p := found[s.name][point]
			first[point] = append(first[point], death{s, []string{fmt.Sprintf("%s:%d", point, p.first)}})
			if p.effects > 1 && strings.HasSuffix(point, ".after") {
				later[point] = append(later[point], death{s, []string{fmt.Sprintf("%s:%d", point, 2+random.IntN(p.effects-1))}})
			}
		}
	}
	var all []death
	for _, deaths := range []map[string][]death{first, later} {
		for _, point := range slices.Sorted(maps.Keys(deaths)) {
			all = append(all, deaths[point][random.IntN(len(deaths[point]))])
		}
	}
	return all
}

// double lists every pair of points that some scenario passes, in one of those scenarios. The second death is counted in a process of its own.
func double(found map[string]map[string]passages, random *rand.Rand) []death {
	where := map[[2]string][]scenario{}
	for _, s := range scenarios() {
		for first := range found[s.name] {
			for second := range found[s.name] {
				where[[2]string{first, second}] = append(where[[2]string{first, second}], s)
			}
		}
	}
	var all []death
	for _, pair := range slices.SortedFunc(maps.Keys(where), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		s := where[pair][random.IntN(len(where[pair]))]
		n := 1
		if strings.HasSuffix(pair[1], ".before") {
			n += random.IntN(3)
		}
		all = append(all, death{s, []string{fmt.Sprintf("%s:%d", pair[0], found[s.name][pair[0]].first), fmt.Sprintf("%s:%d", pair[1], n)}})
	}
	return all
}

// die tries deaths, several at the same time, for as long as there is to be more. It gives the points at which processes died.
func die(t *testing.T, dbs *databases, what string, deaths []death, more func() bool) map[string]bool {
	points := map[string]bool{}
	if len(deaths) == 0 {
		return points
	}
	var mu sync.Mutex
	done := doneBefore(t)
	began := time.Now()
	var tried, killed, missed atomic.Int64
	t.Run(what, func(t *testing.T) {
		for _, d := range deaths {
			if done[d.pair()] {
				continue
			}
			t.Run(d.String(), func(t *testing.T) {
				t.Parallel()
				if !more() {
					return
				}
				tried.Add(1)
				died := dieOnce(t, dbs, d)
				killed.Add(int64(died))
				mu.Lock()
				for _, at := range d.at[:died] {
					points[pointOf(at)] = true
				}
				mu.Unlock()
				missed.Add(int64(len(d.at) - died))
				if !t.Failed() {
					remember(t, d)
				}
			})
		}
	})
	t.Logf("%s: %d of %d cases tried in %s, %d processes killed, %d not (a death, or the machine's speed, had changed the way); %d cases held before",
		what, tried.Load(), len(deaths), time.Since(began).Round(time.Second), killed.Load(), missed.Load(), len(done))
	return points
}

// knownPoints are those that the code has.
func knownPoints(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(pointsFile)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// dieOnce plays a scenario with its deaths, and says how many there were. Whether a point is come to may depend on the machine's speed, so it tries again.
func dieOnce(t *testing.T, dbs *databases, d death) (died int) {
	for range mostTries {
		m := newMortals(t, dbs, d.scenario.disturb, d.at...)
		d.scenario.play(m)
		m.sound()
		if m.process.over() { // it may have died with its last answer
			m.buried()
		}
		if died = m.died; died > 0 || t.Failed() {
			return died
		}
	}
	return died
}

var pairsMu sync.Mutex

func doneBefore(t *testing.T) map[string]bool {
	t.Helper()
	done := map[string]bool{}
	if *pairsDone == "" {
		return done
	}
	text, err := os.ReadFile(*pairsDone)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		done[strings.TrimSpace(line)] = true
	}
	return done
}

// remember notes a pair that held. One that did not is tried again.
func remember(t *testing.T, d death) {
	t.Helper()
	if *pairsDone == "" || len(d.at) < 2 {
		return
	}
	pairsMu.Lock()
	defer pairsMu.Unlock()
	file, err := os.OpenFile(*pairsDone, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, d.pair())
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
}
