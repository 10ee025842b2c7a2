// Package crash lets a test kill the process at a named point: before and after every commit and every call to Cloud Run of every phase.
//
// Only programs built with the tag crashpoints have such points; in all others this package does nothing.
// CRASH_AT=PHASE.OPERATION.SIDE:N in the environment kills the process with SIGKILL when it passes that point for the N-th time. SIDE is before or after;
// after counts only what had an effect. CRASH_LOG=FILE lets it note every passage there, a line each, with "idle" behind those without an effect.
package crash
