/** Berth's own: documents of kind Workload, a list of them, or {kind: WorkloadList, items}. */
import type { Workload } from '../../model/workload.ts';
import type { ImportProblem } from './import-result.ts';
import { isMap, type SourceDocument, type SourceNode } from './source-node.ts';
import { accepted } from './workload-draft.ts';

export function importBerth(document: SourceDocument, problems: ImportProblem[]): readonly Workload[] {
  return nodesOf(document.root).flatMap((node) => {
    if (!isMap(node.value) || node.value['kind'] !== 'Workload') {
      node.problem('This is no workload: it has no `kind: Workload`.');
      return [];
    }
    const done = accepted(node.value, { file: document.file, line: node.line() }, (path) => node.at(...path).line());
    problems.push(...done.problems);
    return done.workload === undefined ? [] : [done.workload];
  });
}

function nodesOf(root: SourceNode): readonly SourceNode[] {
  if (Array.isArray(root.value)) return root.list();
  return isMap(root.value) && Array.isArray(root.value['items']) ? root.at('items').list() : [root];
}
