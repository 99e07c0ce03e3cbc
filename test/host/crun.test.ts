import { runtimeContract } from '../../src/drivers/runtime/contract.ts';
import { openCrunBench } from '../lib/crun-bench.ts';
import { RUNTIMES } from '../lib/runtime-forms.ts';

runtimeContract('crun', openCrunBench, RUNTIMES.crun.can);
