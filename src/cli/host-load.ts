/** How busy the host of this command is, and what processor it has; the daemon that is asked runs on it. */

/** Share of all processors' time that somebody used between two looks at /proc/stat (proc_stat(5)). */
export async function hostLoad(betweenMs: number): Promise<number> {
  const before = await times();
  await new Promise((resolve) => { setTimeout(resolve, betweenMs); });
  const after = await times();
  const all = after.all - before.all;
  return all <= 0 ? 0 : (after.used - before.used) / all;
}

async function times(): Promise<{ readonly all: number; readonly used: number }> {
  const fs = await import('node:fs');
  const text = await fs.promises.readFile('/proc/stat', 'latin1');
  const fields = /^cpu\s+(.*)$/m.exec(text)?.[1]?.split(' ').map(Number) ?? [];
  // user nice system idle iowait irq softirq steal; guest time is a part of user time.
  const all = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
  return { all, used: all - (fields[3] ?? 0) - (fields[4] ?? 0) };
}

export async function processorName(): Promise<string> {
  const fs = await import('node:fs');
  const text = await fs.promises.readFile('/proc/cpuinfo', 'latin1').catch(() => '');
  return /^model name\s*:\s*(.+)$/m.exec(text)?.[1]?.replaceAll(/\s+/g, ' ').slice(0, 120) ?? 'an unknown processor';
}
