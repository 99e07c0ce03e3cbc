import { storeContract } from '../contract.ts';
import { memoryStore } from './store.ts';

storeContract(memoryStore);
