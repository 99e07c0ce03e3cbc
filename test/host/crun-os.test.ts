/**
 * The runtime contract over OS containers. Its first processes are commands in the place of an init: what the contract
 * says of life, exit codes, talk, logs, limits and adoption holds for them alike.
 */
import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openCrunBench } from '../lib/crun-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

runtimeContract('crun-os', async () => {
  const bench = await openCrunBench();
  const plan = bench.plan.bind(bench);
  return Object.assign(bench, { plan: ((args, choices = {}) => plan(args, { form: 'osContainer', ...choices })) as typeof bench.plan });
}, RUNTIMES['crun-os'].can);
